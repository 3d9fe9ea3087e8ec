"""Preprocessing: splits without leaks, limits, and skipped lines."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder
from netchu.core.params import DatasetParams
from netchu.data.line_table import Line, Skipped, read_skipped, read_table, write_table
from netchu.data.preprocessing import preprocess, split_lines
from netchu.imaging.images import decode, encode


def line(number, **changes):
    pixels = np.random.default_rng(number).integers(0, 256, (8, 16), dtype=np.uint8)
    made = Line(f"made-{number:03d}", encode(pixels), f"số {number}", f"w{number % 10}", "made",
                "line", "", 16, 8)  # fmt: skip
    return replace(made, **changes)


def run(tmp_path, lines, seed=1, skipped=(), **params):
    """Preprocess a table of `lines`; return the resulting table."""
    write_table(lines, tmp_path / "in", skipped)
    wanted = DatasetParams(source="synthetic", input=str(tmp_path / "in"), **params)
    preprocess(wanted, "made", seed, tmp_path / "out")
    return read_table(tmp_path / "out")


def reasons(tmp_path):
    return {s.id: s.reason for s in read_skipped(tmp_path / "out")}


def test_split_is_by_writer_and_shares_are_kept(tmp_path):
    table = run(tmp_path, [line(n) for n in range(40)], val_share=0.1, test_share=0.2)
    assert table.groupby("writer")["split"].nunique().max() == 1
    assert table.groupby("split")["writer"].nunique().to_dict() == {"train": 7, "val": 1, "test": 2}


def test_words_and_lines_hold_out_the_same_writers(tmp_path):
    both = [line(n, level="word" if n % 3 else "line") for n in range(60)]
    held = []
    for level in ("word", "line"):
        table = run(tmp_path, both, levels=(level,))
        assert set(table["level"]) == {level}
        held.append(set(table.loc[table["split"] == "test", "writer"]))
    assert held[0] == held[1] != set()


def test_the_contact_sheet_shows_only_training_lines(tmp_path):
    def marked(number, split):
        grey = {"train": 100, "val": 0, "test": 0}[split]
        image = encode(np.full((20, 60), grey + number % 9, np.uint8))
        return line(number, image=image, split=split, writer="", height=20, width=60 + number)

    splits = ("train", "val", "test")
    run(tmp_path, [marked(n, splits[n // 9]) for n in range(27)])
    sheet = decode((tmp_path / "out" / "sheet.png").read_bytes(), "sheet")
    assert (sheet < 255).any()
    assert sheet.min() >= 90


def test_without_writers_equal_texts_get_the_same_split(tmp_path):
    lines = [line(n, writer="", text=f"số {n // 2}") for n in range(1200)]
    table = run(tmp_path, lines, val_share=0.1, test_share=0.2)
    assert table.groupby("text")["split"].nunique().max() == 1
    shares = table["split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, abs=0.08)
    assert shares["val"] == pytest.approx(0.1, abs=0.06)


def test_an_official_split_is_kept(tmp_path):
    lines = [line(n, writer="", split="test" if n < 30 else "") for n in range(100)]
    table = run(tmp_path, lines, val_share=0.2, test_share=0.0)
    assert set(table.loc[table["split"] == "test", "id"]) == {f"made-{n:03d}" for n in range(30)}
    assert 5 <= (table["split"] == "val").sum() <= 25


def test_a_writer_in_two_splits_is_an_error_and_nothing_is_written(tmp_path):
    lines = [line(n, split="train" if n < 20 else "test") for n in range(40)]
    with pytest.raises(NetchuError, match="writer w0 is in 2 splits"):
        run(tmp_path, lines)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_repeated_image_is_skipped(tmp_path):
    lines = [line(n) for n in range(20)]
    lines[13] = replace(lines[13], image=lines[2].image)
    table = run(tmp_path, lines)
    assert len(table) == 19
    assert reasons(tmp_path) == {"made-013": "repeated image: made-002"}


def test_lines_skipped_by_synthesis_are_listed(tmp_path):
    run(tmp_path, [line(n) for n in range(20)], skipped=[Skipped("made-900", "font a lacks '²'")])
    assert reasons(tmp_path) == {"made-900": "font a lacks '²'"}


def test_limit_is_per_split_and_level(tmp_path):
    lines = [line(n, level="word" if n % 20 >= 10 else "line") for n in range(200)]
    levels = ("word", "line")
    table = run(tmp_path, lines, limit=7, levels=levels)
    assert set(table.groupby(["split", "level"]).size()) == {7}
    assert list(table["id"]) == sorted(table["id"])
    other = run(tmp_path, lines, limit=7, levels=levels, seed=2)
    assert set(table["id"]) != set(other["id"])


def test_the_seed_decides_the_bytes(tmp_path):
    lines = [line(n) for n in range(40)]
    hashes = []
    for seed in (1, 1, 2):
        run(tmp_path, lines, seed=seed)
        hashes.append(hash_folder(tmp_path / "out"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_split_lines_returns_the_lines_of_the_table(tmp_path):
    lines = [line(n) for n in range(40)]
    lines += [line(n, writer=f"twice {n}", image=lines[n - 40].image) for n in range(40, 60)]
    table = run(tmp_path, lines, limit=3)
    skipped = []
    wanted = DatasetParams(source="synthetic", input=str(tmp_path / "in"), limit=3)
    asked = split_lines(wanted, "made", 1, skipped).set_index("id")["split"].to_dict()
    assert asked == dict(zip(table["id"], table["split"], strict=True))
    assert len(skipped) == 20
    without = split_lines(replace(wanted, limit=0), "made", 1, [])
    assert len(without) == 40
    assert asked.items() <= without.set_index("id")["split"].to_dict().items()


def test_the_summary_counts_lines_writers_and_skipped_lines(tmp_path):
    lines = [line(n, text="giống nhau" if n < 10 else f"số {n}") for n in range(40)]
    table = run(tmp_path, lines, skipped=[Skipped("a", "no ink"), Skipped("b", "no ink")])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sum(levels["line"] for levels in summary["lines"].values()) == len(table)
    assert summary["skipped"] == {"no ink": 2}
    assert summary["texts_in_several_splits"] == 1
    assert sum(summary["writers"].values()) == 10


def test_a_table_without_lines_is_an_error(tmp_path):
    with pytest.raises(NetchuError, match="no lines are left"):
        run(tmp_path, [line(n) for n in range(20)], levels=("paragraph",))


def test_too_few_writers_is_an_error(tmp_path):
    with pytest.raises(NetchuError, match="2 writers are too few"):
        run(tmp_path, [line(n, writer=f"w{n % 2}") for n in range(20)])


def test_a_missing_input_is_an_error(tmp_path):
    wanted = DatasetParams(source="synthetic", input=str(tmp_path / "nowhere"))
    with pytest.raises(NetchuError, match="nowhere"):
        preprocess(wanted, "made", 1, tmp_path / "out")


def test_a_failing_run_keeps_the_old_table(tmp_path):
    old = run(tmp_path, [line(n) for n in range(40)])
    with pytest.raises(NetchuError):
        run(tmp_path, [line(n) for n in range(20)], levels=("paragraph",))
    pd.testing.assert_frame_equal(old, read_table(tmp_path / "out"))
