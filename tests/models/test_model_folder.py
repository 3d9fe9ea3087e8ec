import json
import os
import re

import pytest
import torch

from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder
from netchu.core.text import ALPHABET
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, save_model, weight_files, weights_hash
from netchu.training.stage import build_recogniser
from small_project import MODEL, params


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "model"
    place.mkdir()
    save_model(build_recogniser(params(), "netchu_small"), place, {"stage": "finetune"})
    return place


def edit_card(folder, **changes):
    card = read_card(folder)
    (folder / "model.json").write_text(json.dumps(card | changes), encoding="utf-8")


def load_error(folder, alphabet=ALPHABET):
    with pytest.raises(NetchuError) as caught:
        load_model(folder, alphabet)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_folder_holds_weights_and_a_card(folder):
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors"]
    card = read_card(folder)
    assert card["network"] == "netchu_small"
    assert card["alphabet"] == ALPHABET
    assert card["stage"] == "finetune"
    assert card["config"]["height"] == 32
    assert card["weights"] == weights_hash(folder)


def test_loading_gives_the_saved_model(folder):
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


def test_the_hash_covers_every_weight_file(folder):
    before = weights_hash(folder)
    (folder / "adapter.safetensors").write_bytes(b"more")
    assert len(weight_files(folder)) == 2
    assert weights_hash(folder) != before


def test_another_alphabet_is_refused_with_the_difference(folder):
    told = load_error(folder, ALPHABET.replace("ắ", "") + "ǽ")
    assert "has another alphabet" in told
    assert "'ắǽ'" in told or "'ǽắ'" in told
    assert "train it again" in told
    assert "the order differs" in load_error(folder, ALPHABET[::-1])


def test_a_folder_without_a_model_is_named(tmp_path):
    assert "holds no model; run 'dvc repro'" in load_error(tmp_path / "nowhere")


def test_a_damaged_card_is_named(folder):
    (folder / "model.json").write_text('{"network": "netchu')
    assert "model.json is damaged" in load_error(folder)


def test_missing_weights_are_an_error_of_one_line(folder):
    (folder / "model.safetensors").unlink()
    assert "train it again" in load_error(folder)


@pytest.mark.parametrize("keep", [0, 5, 500])
def test_truncated_weights_do_not_load(folder, keep):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    assert "the weights do not load" in load_error(folder)


def test_weights_of_another_shape_do_not_load(folder):
    edit_card(folder, config=read_card(folder)["config"] | {"mixers": 2})
    assert "the weights do not load" in load_error(folder)


def test_a_card_with_an_unknown_key_or_network_is_refused(folder):
    edit_card(folder, network="vietocr")
    assert "unknown network 'vietocr'" in load_error(folder)
    edit_card(folder, network="netchu_small", config={"mixer": 2})
    assert "did you mean 'mixers'?" in load_error(folder)


def test_a_card_of_an_older_version_is_upgraded(folder):
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    card["system"] = card.pop("network")
    card["provenance"] = {"seed": 7, "parcel": {"height": 32}}
    old_phase = {"difficulty": [0.2, 0.5], "joined": 0.4, "average": 0.99, "epochs": 3}
    card["training"] = [{"stage": "pretrain", "phase": old_phase}, {"stage": "finetune"}]
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")

    upgraded = read_card(folder)
    assert upgraded["network"] == "netchu_small"
    assert "system" not in upgraded
    assert upgraded["provenance"] == {"seed": 7, "bundle": {"height": 32}}
    phase = {"augmentation_strength": [0.2, 0.5], "concat_prob": 0.4, "ema_decay": 0.99}
    assert upgraded["training"] == [
        {"stage": "pretrain", "phase": phase | {"epochs": 3}}, {"stage": "finetune"},
    ]  # fmt: skip
    assert load_model(folder).network == "netchu_small"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"network": 5}, "network is no str"),
        ({"alphabet": [1]}, "alphabet is no str"),
        ({"config": [1]}, "config is no dict"),
        ({"training": {}}, "training is no list"),
        ({"config": MODEL | {"height": 10**9}}, "config.height is 1000000000"),
        ({"config": MODEL | {"channels": [4, 4, 8, 10**12]}}, "config.channels.3 is 1000000000000"),
        ({"config": MODEL | {"dropout": float("nan")}}, "config.dropout is nan"),
        ({"config": MODEL | {"height": 0}}, "lines of 0 px"),
        ({"config": MODEL | {"height": -5}}, "lines of -5 px"),
        ({"config": MODEL | {"channels": [0, 4, 8, 8]}}, "weights do not load"),
        ({"config": MODEL | {"channels": []}}, "weights do not load|channels"),
        ({"config": MODEL | {"height": "high"}}, "height: .* got 'high'"),
        ({"config": MODEL | {"height": 32.5}}, "height: .* got 32.5"),
    ],
)
def test_a_value_of_a_card_that_no_network_has(folder, changes, told):
    edit_card(folder, **changes)
    assert re.search(told, load_error(folder))


@pytest.mark.parametrize("key", ["network", "config", "alphabet"])
def test_a_card_without_a_value_names_it(folder, key):
    card = read_card(folder)
    del card[key]
    (folder / "model.json").write_text(json.dumps(card))
    assert f"{key} is missing" in load_error(folder)


@pytest.mark.parametrize("content", ["[]", "5", "[" * 100_000])
def test_a_card_that_is_no_mapping(folder, content):
    (folder / "model.json").write_text(content)
    assert "model.json is" in load_error(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_pipe_in_a_model_folder_is_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert f"{name} is not a regular file" in load_error(folder)
