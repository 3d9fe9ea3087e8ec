import ast
import json
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.fingerprints import PACKAGE, import_closure
from netchu.evaluation.baselines import base

WORKERS = ("tesseract", "vietocr")


def answer(folder, monkeypatch, read, images):
    lines = folder / "lines"
    lines.mkdir()
    for name, content in images.items():
        (lines / name).write_bytes(content)
    out = folder / "answer.json"
    monkeypatch.setattr(sys, "argv", ["worker", str(lines), str(out), "its argument"])
    arguments = []
    base.run_worker(
        lambda argument: arguments.append(argument) or base.LoadedBaseline(read, "v 1", 1.5, 7)
    )
    assert arguments == ["its argument"]
    return json.loads(out.read_text(encoding="utf-8"))


def test_lines_are_answered_in_order_of_names_with_text_confidence_and_time(tmp_path, monkeypatch):
    images = {"000002.png": b"c", "000000.png": b"a", "000001.png": b"b"}
    answered = answer(
        tmp_path, monkeypatch, lambda image: (image.decode() + "ế", [0.5, 0.5]), images
    )
    assert [text for text, *_ in answered["lines"]] == ["aế", "bế", "cế"]
    assert [confidence for _, confidence, *_ in answered["lines"]] == [0.25] * 3
    assert all(milliseconds >= 0 for _, _, milliseconds, _ in answered["lines"])
    assert (answered["version"], answered["size_mb"], answered["parameters"]) == ("v 1", 1.5, 7)
    assert [failure for *_, failure in answered["lines"]] == [""] * 3


def test_a_line_on_which_a_baseline_fails_has_an_empty_text_and_the_failure(tmp_path, monkeypatch):
    def read(image):
        if image == b"bad":
            raise RuntimeError("Image too small")
        return "x", [1.0]

    answered = answer(tmp_path, monkeypatch, read, {"0.png": b"bad", "1.png": b"good"})
    assert [line[:2] for line in answered["lines"]] == [["", 0.0], ["x", 1.0]]
    assert [line[3] for line in answered["lines"]] == ["RuntimeError: Image too small", ""]


def test_the_first_lines_are_read_once_before_they_are_timed(tmp_path, monkeypatch):
    seen = []
    images = {f"{number}.png": bytes([number]) for number in range(5)}
    answer(tmp_path, monkeypatch, lambda image: (str(seen.append(image[0])), []), images)
    assert seen == [0, 1, 2, 0, 1, 2, 3, 4]


@given(st.lists(st.floats(-1, 2), max_size=5))
def test_confidence_lies_in_0_to_1(numbers):
    _, confidence, _, failure = base._read_timed(lambda image: ("x", numbers), b"")
    assert 0 <= confidence <= 1
    assert failure == ""


def test_an_empty_reading_has_confidence_0():
    assert base._read_timed(lambda image: (" \n", [1.0]), b"")[1] == 0.0


def test_the_size_of_a_network_includes_its_buffers():
    network = torch.nn.BatchNorm1d(1000)  # a counter of 8 bytes besides
    assert base.size_and_parameters(network) == (round((4 * 4000 + 8) / 1e6, 3), 2000)


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_imports_only_the_standard_library_and_this_folder(name):
    """Imports inside functions are exempt: the baseline's own packages."""
    files = import_closure([PACKAGE / "evaluation" / "baselines" / f"{name}.py"])
    kept = {"__init__.py", "base.py", "errors.py", "text.py", f"{name}.py"}
    assert {path.name for path in files} <= kept
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
        for node in tree.body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for module in names:
                top = module.split(".")[0]
                assert top in sys.stdlib_module_names or top == "netchu", f"{path.name}: {module}"
