"""What every network must do, at sizes that take a moment."""

import cv2
import numpy as np
import pytest
import torch

from netchu.core.errors import NetchuError
from netchu.core.params import PhaseParams, parse_config
from netchu.core.text import ALPHABET
from netchu.data.batches import LineBatch
from netchu.decoding.readings import Reading
from netchu.imaging.preparation import Preprocessing, prepare
from netchu.models import NETWORKS
from netchu.models.attention import AttentionRecogniser
from netchu.models.ctc import CTCRecogniser
from netchu.models.model_folder import load_model, save_model, weights_hash
from netchu.models.optimisation import optimiser_and_schedule
from netchu.training.stage import build_recogniser
from small_project import MODEL, params, picture

TINY = {
    "netchu_small": MODEL,
    "crnn_vgg": {"height": 32, "width": 0.125, "batch_norm": True, "weights": "none",
                 "hidden": 16, "layers": 1},
    "crnn_residual": {"height": 96, "width": 0.125},
    "effnet_seq2seq": {
        "members": [
            {"backbone": "tinynet_e", "stride": 8, "hidden": 16, "embedding": 8},
            {"backbone": "tinynet_d", "stride": 16, "hidden": 8, "embedding": 16},
        ],
        "height": 32, "max_width": 256, "max_length": 24, "imagenet": False,
    },
    "trocr": {"checkpoint": "tiny", "image_height": 64, "image_width": 64, "beams": 2},
    "deepseek_ocr": {"checkpoint": "tiny", "height": 48, "max_new_tokens": 24,
                     "gradient_checkpointing": False},
}  # fmt: skip
TEXTS = ("Thị xã", "đường Láng", "quý hoà")
every_network = pytest.mark.parametrize("network", NETWORKS)


def test_every_network_has_a_tiny_config_here():
    assert set(TINY) == set(NETWORKS)


def made(network, seed=7, **changes):
    model = TINY[network] | changes
    project = params(seed=seed, systems={network: {"model": model, "pretrain": {}, "finetune": {}}})
    recogniser = build_recogniser(project, network)
    recogniser.configure_for(TEXTS)
    return recogniser


def batch_for(recogniser, texts=TEXTS):
    how = recogniser.preprocessing
    width = how.height if how.variant == "square" else 160
    drawn = [prepare(picture(text), Preprocessing("square", how.height)) for text in texts]
    images = [cv2.resize(image, (width, how.height)) for image in drawn]
    return LineBatch(
        torch.from_numpy(np.stack(images)[:, None]), torch.full((len(texts),), width), tuple(texts),
        tuple(f"line {place}" for place in range(len(texts))), ("line",) * len(texts),
    )  # fmt: skip


@every_network
def test_the_loss_is_a_finite_scalar_with_a_gradient_for_every_parameter(network):
    recogniser = made(network).train()
    loss = recogniser.loss(batch_for(recogniser))
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    trained = {n: p for n, p in recogniser.named_parameters() if p.requires_grad}
    assert trained
    assert [n for n, p in trained.items() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in trained.values())


def test_beam_search_adds_up_the_paths_of_a_text():
    # Two steps: the path of two blanks is the most probable one (0.36), but three paths read "a"
    # (0.16 + 2 × 0.24 = 0.64).
    recogniser = made("netchu_small").eval()
    logits_BTV = torch.full((1, 2, len(ALPHABET) + 1), -100.0)
    logits_BTV[..., 0], logits_BTV[..., recogniser.codec.encode("a")[0]] = np.log([0.6, 0.4])
    recogniser.forward = lambda images_BCHW: logits_BTV
    recogniser.time_steps = lambda width: 2
    batch = batch_for(recogniser, ("a",))
    ways = recogniser.variants()
    assert list(ways) == ["greedy", "beam"]
    assert [read(batch)[0].text for read in ways.values()] == ["", "a"]


@every_network
def test_the_first_way_of_reading_is_the_usual_one(network):
    recogniser = made(network).eval()
    first, *_ = recogniser.variants().values()
    assert first == recogniser.transcribe


@every_network
def test_one_reading_for_each_image(network):
    recogniser = made(network).eval()
    readings = recogniser.transcribe(batch_for(recogniser))
    assert len(readings) == len(TEXTS)
    for reading in readings:
        assert isinstance(reading, Reading)
        assert set(reading.text) <= set(ALPHABET)
        assert len(reading.character_confidences) == len(reading.text)
        assert 0 <= reading.confidence <= 1 + 1e-6
        assert all(0 <= p <= 1 + 1e-6 for p in reading.character_confidences)


@every_network
def test_it_reads_the_same_after_save_and_load(network, tmp_path):
    recogniser = made(network).eval()
    batch = batch_for(recogniser)
    if network == "effnet_seq2seq":  # saved in half precision, so loading gives rounded weights
        recogniser.half().float()
    save_model(recogniser, tmp_path, {})
    again = load_model(tmp_path)
    assert type(again) is type(recogniser)
    assert again.transcribe(batch) == recogniser.transcribe(batch)
    assert again.config == recogniser.config


@every_network
def test_the_seed_decides_the_first_weights(network, tmp_path):
    marks = []
    for place, seed in enumerate((7, 7, 8)):
        torch.manual_seed(place)  # what was drawn before must not matter
        folder = tmp_path / str(place)
        folder.mkdir()
        save_model(made(network, seed), folder, {})
        marks.append(weights_hash(folder))
    assert marks[0] == marks[1]
    # All of TrOCR's first weights are its checkpoint's.
    assert (marks[1] == marks[2]) == (network == "trocr")


@every_network
def test_a_rejection_reason_is_one_line(network):
    recogniser = made(network)
    width = int(batch_for(recogniser).widths_B[0])
    assert recogniser.rejection_reason(TEXTS[0], width) == ""
    reason = recogniser.rejection_reason("a" * 5000, width)
    assert reason.startswith("too ")
    assert "\n" not in reason


@every_network
def test_freezing_an_unknown_part_lists_the_known_ones(network):
    recogniser = made(network)
    known = next(iter(recogniser.named_children()))[0]
    assert isinstance(recogniser.part(known), torch.nn.Module)
    with pytest.raises(NetchuError, match=rf"{network} has no part 'wheel'.*{known}"):
        recogniser.part("wheel")


@every_network
def test_its_config_can_be_written_and_parsed_again(network):
    recogniser = made(network)
    assert recogniser.network == network
    assert (
        parse_config(recogniser.config_class, recogniser.config_dict(), "card") == recogniser.config
    )
    assert recogniser.preprocessing.height in (TINY[network].get("height"), 64)


@pytest.mark.parametrize("network", ["netchu_small", "crnn_vgg", "crnn_residual"])
def test_ctc_needs_a_step_per_character_and_one_between_equal_ones(network):
    recogniser = made(network)
    assert isinstance(recogniser, CTCRecogniser)
    width = 128
    images = torch.zeros(1, 1, recogniser.preprocessing.height, width)
    steps = recogniser.eval()(images).shape[1]
    assert steps == recogniser.time_steps(width)
    assert recogniser.rejection_reason("ab" * steps, width)
    assert recogniser.rejection_reason(("ab" * steps)[:steps], width) == ""
    equal = "a" * (steps // 2 + 1)
    assert bool(recogniser.rejection_reason(equal, width)) == (2 * len(equal) - 1 > steps)
    batch = batch_for(recogniser, ("a" * 200,))
    with pytest.raises(NetchuError, match=r"line line 0: too short for CTC.*drop it or widen"):
        recogniser.loss(batch)


def test_attention_rejects_more_than_max_length_characters():
    recogniser = made("effnet_seq2seq")
    assert isinstance(recogniser, AttentionRecogniser)
    assert recogniser.rejection_reason("a" * 24, 100) == ""
    assert (
        recogniser.rejection_reason("a" * 25, 100)
        == "too long: 25 characters for a max_length of 24"
    )


@pytest.mark.parametrize("network", ["netchu_small", "crnn_vgg", "crnn_residual", "effnet_seq2seq"])
def test_a_character_outside_the_alphabet_is_named(network):
    recogniser = made(network)
    with pytest.raises(NetchuError, match="'漢'"):
        recogniser.loss(batch_for(recogniser, ("chữ 漢",)))


@pytest.mark.parametrize(
    ("network", "rate", "changes"),
    [
        ("netchu_small", 5e-3, {"channels": [8, 16, 16, 32], "dropout": 0.0}),
        ("crnn_vgg", 3e-3, {"hidden": 32}),
        ("crnn_residual", 5e-3, {"width": 0.25}),
        ("effnet_seq2seq", 5e-3, {"dropout": 0.0}),
    ],
)
def test_it_memorises_one_batch(network, rate, changes):
    recogniser = made(network, **changes).train()
    batch = batch_for(recogniser, ("Thị xã", "Láng", "quý hoà"))
    optimiser = torch.optim.Adam(recogniser.parameters(), lr=rate)
    torch.manual_seed(0)
    for step in range(400):
        loss = recogniser.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(recogniser.parameters(), 5.0)
        optimiser.step()
        if step % 40 == 39 and read(recogniser, batch) == batch.texts:
            return
    assert read(recogniser, batch) == batch.texts


def read(recogniser, batch):
    """Read in evaluation mode, between training steps."""
    readings = recogniser.eval().transcribe(batch)
    recogniser.train()
    return tuple(reading.text for reading in readings)


def test_training_without_a_phase_fails():
    with pytest.raises(NetchuError, match="has no training phase"):
        made("netchu_small").configure_optimizers()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle", "plateau"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "adamw8bit", "muon"])
def test_no_optimiser_takes_frozen_parameters(optimizer, schedule):
    recogniser = made("netchu_small")
    recogniser.part("backbone").requires_grad_(False)
    values = {"datasets": ["a"], "epochs": 2, "steps_per_epoch": 3}
    phase = parse_config(
        PhaseParams, values | {"optimizer": optimizer, "schedule": schedule}, "phase"
    )
    found = optimiser_and_schedule(recogniser, phase)
    held = {id(p) for group in found["optimizer"].param_groups for p in group["params"]}
    assert held == {id(p) for p in recogniser.parameters() if p.requires_grad}
    assert ("lr_scheduler" in found) == (schedule != "constant")


@pytest.mark.parametrize("network", ["netchu_small", "crnn_vgg", "crnn_residual"])
def test_the_shortcut_head_adds_to_the_loss_and_not_to_the_reading(network):
    plain, helped = made(network, shortcut=0.0).eval(), made(network, shortcut=0.5).eval()
    assert plain.shortcut_head is None
    helped.load_state_dict(plain.state_dict(), strict=False)
    batch = batch_for(helped)
    assert helped.transcribe(batch) == plain.transcribe(batch)
    logits = helped.shortcut_head(helped.column_features(batch.images_BCHW).transpose(1, 2))
    wanted = plain.loss(batch) + 0.5 * helped.ctc_loss(logits.transpose(1, 2), batch)
    torch.testing.assert_close(helped.loss(batch), wanted)
