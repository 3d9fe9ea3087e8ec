"""The model that comes with the package is all there, small, and of one piece."""

import subprocess
import sys
import zipfile

import onnxruntime

from compositions import ROOT
from netchu.core.text import ALPHABET
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.inference.exported_model import SHIPPED_MODEL
from netchu.models.model_folder import load_model, read_card, weights_hash
from netchu.release.shipped_weights import FILES, LARGEST_MB


def test_it_is_complete_and_nothing_else():
    assert {p.name for p in SHIPPED_MODEL.iterdir()} - {LANGUAGE_MODEL} == set(FILES)


def test_it_is_small():
    assert sum(p.stat().st_size for p in SHIPPED_MODEL.iterdir()) <= LARGEST_MB * 1e6


def test_graph_weights_and_cards_belong_together():
    session = onnxruntime.InferenceSession(str(SHIPPED_MODEL / "model.onnx"))
    named = session.get_modelmeta().custom_metadata_map["weights"]
    assert named == read_card(SHIPPED_MODEL)["weights"] == weights_hash(SHIPPED_MODEL)
    assert named[:12] in (SHIPPED_MODEL / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_torch_loads_it_to_train_on():
    assert load_model(SHIPPED_MODEL).alphabet == ALPHABET


def test_the_wheel_contains_it(tmp_path):
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--offline", "-o", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {f"netchu/shipped/{path.name}" for path in SHIPPED_MODEL.iterdir()} <= inside
