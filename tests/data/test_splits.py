"""Splits by writer and by text, and their reproducibility."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.core.params import DatasetParams
from netchu.data.line_table import Line
from netchu.data.splits import assign_splits, split_writers
from small_project import as_table

PARAMS = DatasetParams(source="kalapa", input="", val_share=0.1, test_share=0.2)
SHARES = st.floats(0, 0.3)


def line(number, writer="", text="", split=""):
    return Line(f"a-{number}", b"", text or f"số {number}", writer, "a", "line", split, 1, 1)


def assigned(lines, seed=1):
    return assign_splits(as_table(lines), PARAMS, seed)["split"].tolist()


def test_the_splits_have_not_changed():
    """Published metrics are valid only while the same writers are held out."""
    drawn = split_writers([f"w{n}" for n in range(10)], PARAMS, 2026)
    held_out = {writer: split for writer, split in drawn.items() if split != "train"}
    assert held_out == {"w5": "test", "w9": "test", "w0": "val"}
    by_text = assigned([line(n) for n in range(12)], 2026)
    assert [n for n, split in enumerate(by_text) if split == "test"] == [1, 2, 9]
    assert by_text.count("train") == 9


@given(st.sets(st.text(max_size=3), min_size=5), SHARES, SHARES, st.integers(0, 9))
def test_every_writer_has_one_split_and_shares_are_kept(writers, val, test, seed):
    params = DatasetParams(source="kalapa", input="", val_share=val, test_share=test)
    drawn = split_writers(writers, params, seed)
    assert set(drawn) == writers
    counts = Counter(drawn.values())
    for split, share in (("val", val), ("test", test)):
        assert counts[split] == (max(1, round(share * len(writers))) if share else 0)
    assert counts["train"] >= 1


@given(st.permutations([f"w{n}" for n in range(9)]))
def test_the_order_of_writers_does_not_matter(writers):
    assert split_writers(writers, PARAMS, 3) == split_writers(sorted(writers), PARAMS, 3)


def test_splits_depend_on_source_and_seed():
    writers = [f"w{n}" for n in range(40)]
    other = DatasetParams(source="vnondb", input="", val_share=0.1, test_share=0.2)
    drawn = split_writers(writers, PARAMS, 1)
    assert drawn == split_writers(writers, PARAMS, 1)
    assert drawn != split_writers(writers, PARAMS, 2)
    assert drawn != split_writers(writers, other, 1)


def test_lines_get_the_split_of_their_writer_unless_they_have_one():
    lines = [line(n, writer=f"w{n % 10}") for n in range(30)]
    lines += [line(n, writer="official", split="test") for n in range(30, 33)]
    by_writer = split_writers({f"w{n}" for n in range(10)}, PARAMS, 1)
    assert assigned(lines) == [by_writer[one.writer] for one in lines[:30]] + ["test"] * 3


def test_without_a_writer_equal_texts_get_the_same_split():
    lines = [line(n, text=f"số {n // 3}") for n in range(900)]
    splits = assigned(lines)
    assert len({(one.text, split) for one, split in zip(lines, splits, strict=True)}) == 300
    shares = {split: count / 900 for split, count in Counter(splits).items()}
    assert shares == pytest.approx({"train": 0.7, "val": 0.1, "test": 0.2}, abs=0.06)


def test_too_few_writers_is_an_error():
    with pytest.raises(NetchuError, match="2 writers are too few"):
        split_writers({"a", "b"}, PARAMS, 1)
    assert split_writers(set(), PARAMS, 1) == {}
