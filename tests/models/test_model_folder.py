import json

import pytest
import torch
from small_project import params

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET
from netchu.core.files import hash_folder
from netchu.models.model_folder import load_model, read_card, save_model, weight_files, weights_hash
from netchu.training.phases import build_recogniser


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "model"
    place.mkdir()
    save_model(build_recogniser(params(), "netchu_small"), place, {"stage": "finetune"})
    return place


def edit_card(folder, **changes):
    card = read_card(folder)
    (folder / "model.json").write_text(json.dumps(card | changes), encoding="utf-8")


def said(folder, alphabet=ALPHABET):
    with pytest.raises(NetchuError) as caught:
        load_model(folder, alphabet)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_directory_is_weights_and_a_card(folder):
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors"]
    card = read_card(folder)
    assert card["system"] == "netchu_small"
    assert card["alphabet"] == ALPHABET
    assert card["stage"] == "finetune"
    assert card["config"]["height"] == 32
    assert card["weights"] == weights_hash(folder)


def test_what_is_loaded_is_what_was_saved(folder):
    saved, loaded = build_recogniser(params(), "netchu_small"), load_model(folder)
    assert not loaded.training
    assert loaded.config == saved.config
    for name, value in saved.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_saving_again_gives_the_same_bytes_and_another_seed_does_not(folder, tmp_path):
    for name, seed in (("again", 7), ("other", 8)):
        (tmp_path / name).mkdir()
        recogniser = build_recogniser(params(seed=seed), "netchu_small")
        save_model(recogniser, tmp_path / name, {"stage": "finetune"})
    assert hash_folder(folder) == hash_folder(tmp_path / "again")
    assert weights_hash(folder) != weights_hash(tmp_path / "other")


def test_every_weight_file_counts(folder):
    before = weights_hash(folder)
    (folder / "adapter.safetensors").write_bytes(b"more")
    assert len(weight_files(folder)) == 2
    assert weights_hash(folder) != before


def test_another_alphabet_is_refused_and_the_difference_named(folder):
    told = said(folder, ALPHABET.replace("ắ", "") + "ǽ")
    assert "writes another alphabet" in told
    assert "'ắǽ'" in told or "'ǽắ'" in told
    assert "train it again" in told
    assert "the order differs" in said(folder, ALPHABET[::-1])


def test_no_model_there(tmp_path):
    assert "holds no model; run 'dvc repro'" in said(tmp_path / "nowhere")


def test_a_damaged_card(folder):
    (folder / "model.json").write_text('{"system": "netchu')
    assert "model.json is damaged" in said(folder)


def test_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    assert "train it again" in said(folder)


@pytest.mark.parametrize("keep", [0, 5, 500])
def test_truncated_weights(folder, keep):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    assert "the weights do not load" in said(folder)


def test_weights_of_another_shape(folder):
    edit_card(folder, config=read_card(folder)["config"] | {"mixers": 2})
    assert "the weights do not load" in said(folder)


def test_a_card_with_an_unknown_key_or_system(folder):
    edit_card(folder, system="vietocr")
    assert "unknown system 'vietocr'" in said(folder)
    edit_card(folder, system="netchu_small", config={"mixer": 2})
    assert "did you mean 'mixers'?" in said(folder)
