"""The network of source project 2 at full size: parameter counts and shapes."""

import pytest
import torch
from torch import nn

from netchu.core.text import ALPHABET
from netchu.models.networks.crnn_residual import CrnnResidual, CrnnResidualConfig

LETTERS = "".join(chr(0x4E00 + place) for place in range(141))


@pytest.fixture(scope="module")
def full():
    with torch.device("meta"):
        return CrnnResidual(CrnnResidualConfig(), LETTERS)


def test_the_number_of_trainable_parameters_is_that_of_the_source_project(full):
    assert full.codec.size == 142
    assert sum(p.numel() for p in full.parameters() if p.requires_grad) == 12_974_670
    second = [p.numel() for name, p in full.named_parameters() if "bias_hh" in name]
    assert 12_974_670 - sum(second) == 12_966_478


def test_only_running_statistics_are_not_trained(full):
    running = [b.numel() for name, b in full.named_buffers() if "running" in name]
    assert sum(running) == 2_560
    assert 12_966_478 + sum(running) == 12_969_038


def test_each_layer_has_the_parameters_of_the_source_project(full):
    counts = [sum(p.numel() for p in layer.parameters()) for layer in full.convolutions]
    assert counts == [640, 36_928, 73_856, 147_584, 295_168, 590_080, 1_180_160]
    norms = [2 * sum(p.numel() for p in norm.parameters()) for norm in full.norms]
    assert norms == [512, 512, 1024, 1024, 2048]
    keras = [0, 0]
    for name, parameter in full.lstm.named_parameters():
        if "bias_hh" not in name:
            keras["_l1" in name] += parameter.numel()
    assert keras == [4_198_400, 6_295_552]
    assert sum(p.numel() for p in full.head.parameters()) == 145_550


def test_every_shape_is_that_of_the_source_project():
    network = CrnnResidual(CrnnResidualConfig(), LETTERS).eval()
    shapes = {}

    def note(name):
        def hook(_module, inputs, _output):
            shapes[name] = tuple(inputs[0].shape)

        return hook

    for place, convolution in enumerate(network.convolutions):
        convolution.register_forward_hook(note(place))
    network.lstm.register_forward_hook(note("lstm"))
    with torch.inference_mode():
        logits = network(torch.zeros(1, 1, 163, 3002))
    assert shapes == {
        0: (1, 1, 163, 3002),
        1: (1, 64, 54, 1000),
        2: (1, 64, 17, 333),
        3: (1, 128, 17, 333),
        4: (1, 128, 17, 333),
        5: (1, 256, 17, 333),
        6: (1, 256, 17, 333),
        "lstm": (1, 333, 512),
    }
    assert logits.shape == (1, 333, 142)
    assert network.time_steps(3002) == 333


def test_preprocessing_is_that_of_the_source_project():
    network = CrnnResidual(CrnnResidualConfig(width=0.125), ALPHABET)
    assert (network.preprocessing.variant, network.preprocessing.height) == ("adaptive", 163)
    assert network.preprocessing.max_width == 0


@pytest.mark.parametrize("width", [32, 64, 96, 640, 1024, 3040])
def test_time_steps_equal_the_output_length_and_one_is_nine_pixels(width):
    network = CrnnResidual(CrnnResidualConfig(height=96, width=1 / 64), ALPHABET).eval()
    logits = network(torch.zeros(1, 1, 96, width))
    assert logits.shape[1] == network.time_steps(width)
    assert abs(network.time_steps(width) - width / 9) < 1.25


def test_both_residual_additions_bypass_their_convolutions():
    network = CrnnResidual(CrnnResidualConfig(height=96, width=0.125), ALPHABET).eval()
    images = torch.rand(1, 1, 96, 64, generator=torch.Generator().manual_seed(0))
    for place in (3, 5):
        nn.init.zeros_(network.convolutions[place].weight)
        nn.init.zeros_(network.convolutions[place].bias)
    assert network.column_features(images).abs().sum() > 0
