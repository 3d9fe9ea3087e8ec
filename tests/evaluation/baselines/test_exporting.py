from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import small_project
from netchu.core.errors import NetchuError
from netchu.data.line_table import write_table
from netchu.evaluation.baselines import exporting
from netchu.evaluation.baselines.exporting import BaselineParams, write_images, write_training_lines
from netchu.imaging.images import decode, encode
from small_project import as_table


@pytest.fixture
def project(project_folder):
    """Lines of all three splits in the table `drawn`."""
    params = small_project.params()
    splits = [small_project.drawn_lines(*s) for s in (("train", 9), ("val", 6), ("test", 5))]
    write_table([line for lines in splits for line in lines], params.lines / "drawn")
    return params


def listed(folder, split):
    return [Path(name) for name in (folder / f"{split}.txt").read_text().splitlines()]


def text_of(image):
    return image.with_suffix(".gt.txt").read_text(encoding="utf-8")


def test_training_and_validation_lines_are_written_but_no_test_lines(project, tmp_path):
    settings = BaselineParams(("drawn",), ("word", "line"), 1)
    assert write_training_lines(project, settings, tmp_path / "out", 0) == 9
    train, val = (listed(tmp_path / "out", split) for split in ("train", "val"))
    assert [text_of(p) for p in train] == [x.text for x in small_project.drawn_lines("train", 9)]
    known = {x.text for x in small_project.drawn_lines("val", 6)}
    assert {text_of(path) for path in val} == known
    assert len(list((tmp_path / "out").glob("*.png"))) == 15


def test_a_dataset_named_twice_is_trained_on_twice_and_validated_once(project, tmp_path):
    settings = BaselineParams(("drawn", "drawn"), ("word", "line"), 1)
    assert write_training_lines(project, settings, tmp_path / "out", 0) == 18
    assert len(listed(tmp_path / "out", "val")) == 6


def test_levels_are_selected_and_validation_lines_are_limited(project, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "VALIDATION_LINES", 2)
    write_training_lines(project, BaselineParams(("drawn",), ("line",), 1), tmp_path / "out", 0)
    assert len(listed(tmp_path / "out", "val")) == 2
    assert all(" " in text_of(path) for path in listed(tmp_path / "out", "train"))


def test_an_unknown_dataset_and_no_training_line_are_errors(project, tmp_path):
    with pytest.raises(NetchuError, match="unknown dataset 'drwan'"):
        write_training_lines(project, BaselineParams(("drwan",)), tmp_path / "out", 0)
    with pytest.raises(NetchuError, match=r"drawn: no training .* of level paragraph"):
        write_training_lines(
            project, BaselineParams(("drawn",), ("paragraph",)), tmp_path / "out", 0
        )


@given(height=st.integers(8, 90), natural=st.integers(8, 90), letters=st.integers(1, 12))
def test_lines_are_scaled_to_the_height_with_their_aspect_ratio(
    tmp_path_factory, height, natural, letters
):
    picture = small_project.picture("a" * letters, natural)
    line = replace(small_project.drawn_lines("test", 1)[0], image=encode(picture))
    folder = tmp_path_factory.mktemp("lines")
    (path,) = write_images(as_table([line]), folder, height)
    image = decode(path.read_bytes(), "it")
    assert image.shape[0] == height
    assert abs(image.shape[1] - picture.shape[1] * height / natural) <= 1


def test_height_0_keeps_the_pixels(tmp_path, drawn):
    paths = write_images(drawn, tmp_path / "lines", 0)
    assert [path.name for path in paths[:2]] == ["000000.png", "000001.png"]
    for path, encoded in zip(paths, drawn["image"], strict=True):
        assert (decode(path.read_bytes(), "it") == decode(encoded, "it")).all()
