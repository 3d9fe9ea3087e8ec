"""Drawn lines: deterministic, of the wanted height, by families that keep to their split."""

import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from netchu.errors import NetchuError
from netchu.images import decode
from netchu.lines import Skipped, check_leaks, read_table
from netchu.params import (
    ComputeParams,
    EvaluateParams,
    Params,
    SyntheticParams,
    TrainerParams,
)
from netchu.synth import table
from netchu.synth.fonts import render
from netchu.synth.generate import synthesize

BUNDLED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
PARAMS = SyntheticParams(
    text="syllable",
    count=24,
    fonts={"train": ["sans", "bold"], "val": ["serif"], "test": ["slanted"]},
    height=32,
    shares={"train": 0.5, "val": 0.25, "test": 0.25},
)


@pytest.fixture(scope="module")
def fonts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fonts")
    files = {"sans": "DejaVuSans", "bold": "DejaVuSans-Bold", "serif": "DejaVuSerif",
             "slanted": "DejaVuSans-Oblique", "latin": "cmr10"}  # fmt: skip
    for family, file in files.items():
        (folder / family).mkdir()
        shutil.copyfile(BUNDLED / f"{file}.ttf", folder / family / f"{file}.ttf")
    return folder


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_render_is_ink_on_paper_of_the_wanted_height(difficulty):
    for seed in range(8):
        image = render("Quận Gò Vấp", BUNDLED / "DejaVuSans.ttf", 48,
                       np.random.default_rng(seed), difficulty)  # fmt: skip
        assert image.shape[0] == 48
        assert 100 < image.shape[1] < 700
        assert image.dtype == np.uint8
        assert np.median(image) - np.percentile(image, 2) > 30, "ink is darker than paper"


def test_longer_text_is_wider_and_difficulty_changes_the_image():
    font = BUNDLED / "DejaVuSans.ttf"
    short, long = (render(t, font, 48, np.random.default_rng(0), 0) for t in ("xa", "xa xa xa xa"))
    assert long.shape[1] > 3 * short.shape[1]
    clean, bad = (render("xa", font, 48, np.random.default_rng(0), d) for d in (0, 1))
    assert clean.shape != bad.shape or (clean != bad).any()


def test_same_seed_same_bytes_and_another_seed_others(fonts):
    first, second, other = (list(synthesize(PARAMS, fonts, None, seed, "k")) for seed in (1, 1, 2))
    assert first == second
    assert all(a.image != b.image for a, b in zip(first, other, strict=True))
    renamed = list(synthesize(PARAMS, fonts, None, 1, "another kind"))
    assert all(a.image != b.image for a, b in zip(first, renamed, strict=True))


def test_a_line_depends_on_its_index_alone(fonts):
    few = list(synthesize(replace(PARAMS, count=5), fonts, None, 1, "k"))
    assert few == list(synthesize(PARAMS, fonts, None, 1, "k"))[:5]


def test_two_processes_make_the_same_bytes(fonts):
    one, two = (list(synthesize(PARAMS, fonts, None, 1, "k", n)) for n in (1, 2))
    assert one == two
    assert not multiprocessing.active_children()


def test_line_fields(fonts):
    lines = list(synthesize(PARAMS, fonts, None, 1, "k"))
    assert len({line.id for line in lines}) == PARAMS.count
    for line in lines:
        image = decode(line.image, line.id)
        assert image.shape == (line.height, line.width)
        assert line.writer in PARAMS.fonts[line.split]
        assert line.level == ("line" if " " in line.text else "word")
        assert line.source == "k"
    assert {line.split for line in lines} == {"train", "val", "test"}


def test_shares_of_zero_are_never_drawn(fonts):
    only = replace(PARAMS, shares={"train": 1.0}, fonts={"train": ["sans"]})
    assert {line.split for line in synthesize(only, fonts, None, 1, "k")} == {"train"}


def test_a_font_without_a_letter_never_draws_a_box(fonts):
    poor = replace(PARAMS, shares={"train": 1.0}, fonts={"train": ["latin"]}, words=(3, 3))
    drawn = list(synthesize(poor, fonts, None, 1, "k"))
    skipped = [line for line in drawn if isinstance(line, Skipped)]
    assert len(skipped) > PARAMS.count // 2
    assert "font latin lacks" in skipped[0].reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fonts": {"train": ["sams"]}}, "unknown font 'sams'"),
        ({"fonts": {"training": ["sans"]}}, "unknown split 'training'"),
        ({"fonts": {"train": ["sans"], "val": ["sans"], "test": ["bold"]}}, "sans is named twice"),
        ({"fonts": {"train": ["sans"]}}, "val has share 0.25 and no fonts"),
        ({"shares": {"train": 0.0}}, "all shares are 0"),
        ({"difficulty": 1.5}, "difficulty 1.5"),
        ({"height": 4}, "height 16"),
    ],
)
def test_wrong_parameters_name_the_culprit(fonts, change, message):
    with pytest.raises(NetchuError, match=message):
        next(synthesize(replace(PARAMS, **change), fonts, None, 1, "k"))


def test_the_stage_writes_a_table_without_leaks(fonts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(fonts, Path("data/p/raw/fonts"))

    params = Params(
        profile="p", seed=1, compute=ComputeParams(threads=1), trainer=TrainerParams(), sources={},
        synthetic={"k": PARAMS}, datasets={}, systems={}, evaluate=EvaluateParams(datasets=()),
    )  # fmt: skip
    folder = table.synthesize_table(params, "k")
    written = read_table(folder)
    assert folder == Path("data/p/synthetic/k")
    assert len(written) == PARAMS.count
    check_leaks(written)
