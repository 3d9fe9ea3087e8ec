import json

import numpy as np
import pytest

from bar_model import ALPHABET, HEIGHT, STEP, bars, write_bar_model
from netchu.core.errors import NetchuError
from netchu.decoding.greedy import greedy_decode
from netchu.imaging.preparation import prepare
from netchu.inference.exported_model import OVERLAP, WINDOW, ExportedModel


@pytest.fixture
def model(tmp_path):
    return ExportedModel(write_bar_model(tmp_path / "bars"))


def prepared(text, model):
    return prepare(bars(text), model.preprocessing)


def text_of(probabilities_TV):
    return "".join(ALPHABET[emission.id - 1] for emission in greedy_decode(probabilities_TV))


def test_attributes_come_from_the_card(model):
    assert (model.alphabet, model.step, model.temperature) == (ALPHABET, STEP, 1.0)
    assert (model.preprocessing.variant, model.preprocessing.height) == ("grey", HEIGHT)
    assert model.figures == {"cer": 0.0}


def test_probabilities_have_a_row_for_every_time_step(model):
    images_BHW = np.stack([prepared("abch", model), prepared("hcba", model)])
    probabilities_BTV = model.probabilities(images_BHW)
    assert probabilities_BTV.shape == (2, images_BHW.shape[2] // STEP, len(ALPHABET) + 1)
    assert probabilities_BTV.dtype == np.float32
    np.testing.assert_allclose(probabilities_BTV.sum(-1), 1, rtol=1e-5)
    assert [text_of(rows_TV) for rows_TV in probabilities_BTV] == ["abch", "hcba"]


def test_temperature_divides_the_logits(model, tmp_path):
    warm = ExportedModel(write_bar_model(tmp_path / "warm", temperature=4.0))
    image_BHW = prepared("abch", model)[None]
    cold_TV, warm_TV = model.probabilities(image_BHW)[0], warm.probabilities(image_BHW)[0]
    expected_TV = cold_TV.astype(float) ** 0.25
    expected_TV /= expected_TV.sum(-1, keepdims=True)
    np.testing.assert_allclose(warm_TV, expected_TV, atol=1e-4)


@pytest.mark.parametrize("width", [WINDOW + 32, 2 * WINDOW - 2 * OVERLAP, 3 * WINDOW])
def test_windows_give_the_same_as_the_whole_image(model, width):
    letters = "".join(np.random.default_rng(width).choice(list(ALPHABET), width // 24))
    image_BHW = prepared(letters + "h", model)[None, :, :width]
    whole_BTV = model._run(image_BHW)
    windows_BTV = model.probabilities(image_BHW)
    np.testing.assert_allclose(windows_BTV, whole_BTV, atol=1e-5)
    assert len(text_of(windows_BTV[0])) > width // 24 - 2


def test_a_folder_without_a_model_is_named_in_the_error(tmp_path):
    with pytest.raises(NetchuError, match=r"nowhere has no exported model; name a folder with"):
        ExportedModel(tmp_path / "nowhere")


def damage(folder, name, content):
    (folder / name).write_bytes(content)


CARD = {"alphabet": ALPHABET, "step": 4, "temperature": 1.0}
GREY = {"variant": "grey", "height": 32}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.json", b"{"),
        ("model.json", b"\xff\xfe"),
        ("model.json", b"[]"),
        ("model.json", json.dumps(CARD).encode()),
        ("model.json", json.dumps(CARD | {"preprocessing": {"hight": 3}}).encode()),
        ("model.json", json.dumps(CARD | {"preprocessing": GREY, "step": "wide"}).encode()),
        ("model.json", json.dumps(CARD | {"preprocessing": GREY, "alphabet": "ab"}).encode()),
        ("model.onnx", b"not a network"),
        ("model.onnx", b""),
    ],
)
def test_a_damaged_file_is_named_in_a_one_line_error(tmp_path, name, content, capfd):
    folder = write_bar_model(tmp_path / "bars")
    damage(folder, name, content)
    with pytest.raises(NetchuError, match=rf"{name}.*export it again") as caught:
        ExportedModel(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value).strip()
    assert capfd.readouterr().err == ""


def test_a_missing_network_is_named_in_the_error(tmp_path):
    folder = write_bar_model(tmp_path / "bars")
    (folder / "model.onnx").unlink()
    with pytest.raises(NetchuError, match=r"model\.onnx is missing"):
        ExportedModel(folder)
