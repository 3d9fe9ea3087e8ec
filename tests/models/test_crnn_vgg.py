"""The network of source project 1: size of VGG16, pretrained weights and the frozen phase."""

import pytest
import torch

import small_project
from netchu.core.errors import NetchuError
from netchu.core.params import PhaseParams, parse_config
from netchu.core.text import ALPHABET
from netchu.models.networks import crnn_vgg
from netchu.models.networks.crnn_vgg import CrnnVgg, CrnnVggConfig
from netchu.training.phase import fit_phase
from netchu.training.stage import build_recogniser
from small_project import as_table

TINY = {"height": 32, "width": 0.125, "batch_norm": True, "weights": "none", "hidden": 8,
        "layers": 1}  # fmt: skip


def test_width_1_has_vgg16s_convolutions():
    with torch.device("meta"):
        network = CrnnVgg(CrnnVggConfig(weights="none"), ALPHABET)
    convolutions = [m for m in network.backbone if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 13
    colour = 2 * 64 * 9  # VGG16 looks at three colours, this network at one
    assert sum(p.numel() for p in network.backbone.parameters()) + colour == 14_714_688
    assert network.lstm.num_layers == 2


@pytest.mark.parametrize("height", [32, 64])
@pytest.mark.parametrize("width", [32, 96, 640])
def test_there_is_one_time_step_per_four_pixels(height, width):
    network = CrnnVgg(CrnnVggConfig(height=height, width=0.0625, weights="none"), ALPHABET).eval()
    logits = network(torch.zeros(1, 1, height, width))
    assert logits.shape == (1, width // 4, len(ALPHABET) + 1)
    assert network.preprocessing.variant == "otsu"


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("offline")])
def test_without_the_hub_imagenet_weights_are_an_error_of_one_line(monkeypatch, batch_norm, error):
    asked = []

    def unreachable(name, **options):
        asked.append((name, options["pretrained"]))
        raise error

    monkeypatch.setattr(crnn_vgg.timm, "create_model", unreachable)
    with pytest.raises(NetchuError, match=r"cannot be fetched .*set weights: none") as caught:
        CrnnVgg(CrnnVggConfig(batch_norm=batch_norm), ALPHABET)
    assert asked == [("vgg16_bn" if batch_norm else "vgg16", True)]
    assert "\n" not in str(caught.value)


def test_imagenet_weights_are_timms_and_load_does_not_fetch_them_again(monkeypatch, tmp_path):
    real = crnn_vgg.timm.create_model

    def local(name, pretrained, **options):
        assert pretrained
        torch.manual_seed(5)
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(crnn_vgg.timm, "create_model", local)
    config = CrnnVggConfig(height=32, hidden=8, layers=1)
    first = CrnnVgg(config, ALPHABET)
    torch.manual_seed(5)
    theirs = real("vgg16", in_chans=1, num_classes=0)
    assert torch.equal(first.backbone[0].weight, theirs.features[0].weight)
    first.save(tmp_path)
    monkeypatch.setattr(crnn_vgg.timm, "create_model", None)
    again = CrnnVgg.load(tmp_path, config, ALPHABET)
    assert again.config == config
    assert torch.equal(again.backbone[0].weight, first.backbone[0].weight)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            CrnnVggConfig(height=48, weights="none"),
            "height 48 is not a multiple of 32",
        ),
        (CrnnVggConfig(width=0.5), "ImageNet weights exist for width 1; set weights: none"),
    ],
)
def test_impossible_configs_are_refused(config, said):
    with pytest.raises(NetchuError, match=said):
        CrnnVgg(config, ALPHABET)


def trained(folder, **changes):
    """First weights and those after a phase, by name."""
    system = {"model": TINY, "pretrain": {}, "finetune": {}}
    project = small_project.params(systems={"crnn_vgg": system})
    recogniser = build_recogniser(project, "crnn_vgg")
    before = {name: value.clone() for name, value in recogniser.state_dict().items()}
    phase = parse_config(
        PhaseParams, small_project.PHASE | {"steps_per_epoch": 2} | changes, "phase"
    )
    lines = as_table(small_project.drawn_lines("train", 8) + small_project.drawn_lines("val", 2))
    fit_phase(recogniser, lines, phase, project, folder, 3)
    assert all(p.requires_grad for p in recogniser.parameters())
    return before, recogniser.state_dict()


def test_a_frozen_backbone_keeps_its_weights(tmp_path):
    before, after = trained(tmp_path, freeze="backbone")
    learned = {n for n in before if "running" not in n and "num_batches" not in n}
    same = {name for name in learned if torch.equal(before[name], after[name])}
    assert same == {name for name in learned if name.startswith("backbone.")}


def test_without_freezing_the_backbone_is_trained(tmp_path):
    before, after = trained(tmp_path)
    assert not torch.equal(before["backbone.0.weight"], after["backbone.0.weight"])


def test_freezing_an_unknown_part_lists_the_parts(tmp_path):
    with pytest.raises(NetchuError, match=r"no part 'cnn' to freeze; it has: backbone"):
        trained(tmp_path, freeze="cnn")
