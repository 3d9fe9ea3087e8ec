"""The model of the package is complete, small and consistent."""

import subprocess
import sys
import zipfile

import onnxruntime

from compositions import ROOT
from netchu.core.text import ALPHABET
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.inference.exported_model import SHIPPED_MODEL
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, weights_hash
from netchu.release.shipped_weights import FILES, MAX_MB


def test_the_folder_holds_exactly_the_files_of_a_model():
    assert {p.name for p in SHIPPED_MODEL.iterdir()} - {LANGUAGE_MODEL} == set(FILES)


def test_it_is_small():
    assert sum(p.stat().st_size for p in SHIPPED_MODEL.iterdir()) <= MAX_MB * 1e6


def test_graph_and_cards_name_the_hash_of_the_weights():
    session = onnxruntime.InferenceSession(str(SHIPPED_MODEL / "model.onnx"))
    named = session.get_modelmeta().custom_metadata_map["weights"]
    assert named == read_card(SHIPPED_MODEL)["weights"] == weights_hash(SHIPPED_MODEL)
    assert named[:12] in (SHIPPED_MODEL / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_torch_can_load_it():
    assert load_model(SHIPPED_MODEL).alphabet == ALPHABET


def test_the_wheel_contains_it(tmp_path):
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--offline", "-o", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {f"netchu/shipped/{path.name}" for path in SHIPPED_MODEL.iterdir()} <= inside
