"""netchu_small that starts from weights of a network with fewer blocks along the line."""

import pytest
import torch

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET
from netchu.models.model_folder import save_model
from netchu.models.networks.netchu_small import NetchuSmall, NetchuSmallConfig

SMALL = {"height": 32, "channels": (8, 8, 16, 16), "shortcut": 0.0}


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    torch.manual_seed(1)
    network = NetchuSmall(NetchuSmallConfig(mixers=2, **SMALL), ALPHABET).eval()
    folder = tmp_path_factory.mktemp("start") / "model"
    folder.mkdir()
    save_model(network, folder, {"stage": "finetune"})
    return network, folder


def started(folder, mixers):
    torch.manual_seed(2)
    config = NetchuSmallConfig(mixers=mixers, weights=str(folder), **SMALL)
    return NetchuSmall(config, ALPHABET)


@pytest.mark.parametrize("mixers", [2, 3, 5])
def test_further_blocks_change_nothing_at_first(known, mixers):
    network, folder = known
    images = torch.rand(2, 1, 32, 96, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = network(images)
        assert expected.std() > 0
        assert torch.equal(started(folder, mixers).eval()(images), expected)


def test_fewer_blocks_than_the_weights_have_are_an_error(known):
    with pytest.raises(NetchuError, match=r"mixers\.1\.\S+ .* is no weight of this"):
        started(known[1], 1)


def test_further_blocks_are_trained(known):
    further = started(known[1], 3)
    further(torch.rand(1, 1, 32, 96)).square().sum().backward()
    block = further.mixers[2]
    assert block.narrow.weight.grad.abs().sum() > 0
    # Weights that are drawn at random: with zeros in both layers nothing could be learnt.
    assert block.widen.weight.std() > 0
