import dataclasses
import os
import unicodedata

import pandas as pd
import pyarrow.parquet as pq
import pytest

from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder
from netchu.data import line_table as lines_module
from netchu.data.line_table import (
    SCHEMA,
    Skipped,
    check_leaks,
    iterate_table,
    read_shard_metadata,
    read_skipped,
    read_table,
    write_shard,
    write_skipped,
    write_table,
)
from small_project import as_table, drawn_lines


def test_a_table_is_read_as_it_was_written(tmp_path):
    lines = drawn_lines()
    left_out = [Skipped("a, b", 'said "no"'), Skipped("c", "chữ 漢")]
    assert write_table(iter(lines), tmp_path / "table", left_out) == len(lines)
    table = read_table(tmp_path / "table")
    assert table.to_dict("records") == [dataclasses.asdict(line) for line in lines]
    assert list(table.columns) == SCHEMA.names
    assert read_skipped(tmp_path / "table") == left_out


def test_pandas_reads_a_shard(tmp_path):
    write_table(drawn_lines(), tmp_path / "table")
    (shard,) = (tmp_path / "table").glob("*.parquet")
    assert list(pd.read_parquet(shard)["text"]) == [line.text for line in drawn_lines()]


@pytest.mark.parametrize(("number", "shards"), [(0, 1), (4, 1), (5, 1), (6, 2), (12, 3)])
def test_lines_are_divided_into_shards_in_order(tmp_path, monkeypatch, number, shards):
    monkeypatch.setattr(lines_module, "SHARD_LINES", 5)
    lines = drawn_lines(number=number)
    assert write_table(lines, tmp_path / "table") == number
    assert len(list((tmp_path / "table").glob("*.parquet"))) == shards
    assert list(read_table(tmp_path / "table")["id"]) == [line.id for line in lines]


def test_only_the_given_columns_are_read(tmp_path):
    write_table(drawn_lines(), tmp_path / "table")
    assert list(read_table(tmp_path / "table", ["id", "text"]).columns) == ["id", "text"]


def test_only_lines_of_the_wanted_values_are_read_and_the_column_need_not_be(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "SHARD_LINES", 5)
    lines = [*drawn_lines("train", 6), *drawn_lines("val", 7)]
    write_table(lines, tmp_path / "table")
    wanted = {"split": ("val",), "id": {"val-02", "val-05", "train-01"}}
    table = read_table(tmp_path / "table", ["image", "text"], wanted)
    kept = [line for line in lines if line.id in ("val-02", "val-05")]
    assert list(table.columns) == ["image", "text"]
    assert table.to_dict("records") == [{"image": k.image, "text": k.text} for k in kept]
    nothing = read_table(tmp_path / "table", where={"split": ()})
    assert nothing.empty
    pd.testing.assert_series_equal(nothing.dtypes, read_table(tmp_path / "table").dtypes)


def test_a_column_that_a_shard_lacks_is_named_in_the_error(tmp_path):
    write_table(drawn_lines(), tmp_path / "table")
    (shard,) = (tmp_path / "table").glob("*.parquet")
    pq.write_table(pq.read_table(shard).drop(["writer"]), shard)
    for read in (read_table, lambda folder: list(iterate_table(folder))):
        with pytest.raises(NetchuError, match=r"table is not a line table \(.*no column writer"):
            read(tmp_path / "table")
    assert len(read_table(tmp_path / "table", ["id", "image"])) == 12


def test_lines_are_read_one_by_one_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "SHARD_LINES", 5)
    lines = drawn_lines(number=12)
    write_table(lines, tmp_path / "table")
    assert list(iterate_table(tmp_path / "table")) == lines


def test_what_was_left_out_is_no_formula_in_a_spreadsheet(tmp_path):
    write_skipped([Skipped("=1.png", "no label;=2")], tmp_path)
    (row,) = (tmp_path / "skipped.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert row == "\u200b=1.png,no label;\u200b=2"


def test_a_generator_of_lines_may_fill_skipped(tmp_path):
    left_out = []

    def reading():
        for line in drawn_lines(number=3):
            left_out.append(Skipped(line.id, "found late"))
            yield line

    write_table(reading(), tmp_path / "table", left_out)
    assert len(read_skipped(tmp_path / "table")) == 3


def test_an_interrupted_write_leaves_the_old_table_or_none(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "SHARD_LINES", 2)
    folder = tmp_path / "table"

    def breaking():
        yield from drawn_lines(number=5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(breaking(), folder)
    assert not folder.exists()
    write_table(drawn_lines(number=1), folder)
    assert [p.name for p in tmp_path.iterdir()] == ["table"]
    assert len(read_table(folder)) == 1
    with pytest.raises(KeyboardInterrupt):
        write_table(breaking(), folder)
    assert len(read_table(folder)) == 1


def test_metadata_of_a_shard_does_not_change_its_lines(tmp_path):
    metadata = {"skipped": [["a", 'said "no", chữ 漢']], "ways": {"whole": 3}}
    for name, content in (("with_metadata", metadata), ("empty", {})):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "00000.parquet"
        write_shard(drawn_lines(), path, content)
        assert read_shard_metadata(path) == content
        assert list(path.parent.iterdir()) == [path]
    write_table(drawn_lines(), tmp_path / "table")
    for name in ("with_metadata", "empty"):
        pd.testing.assert_frame_equal(read_table(tmp_path / name), read_table(tmp_path / "table"))


def test_shards_with_different_metadata_are_one_table(tmp_path):
    for number in range(3):
        lines = drawn_lines("train", 4 * number)
        write_shard(lines, tmp_path / f"{number:05d}.parquet", {"number": number})
    assert len(read_table(tmp_path)) == 12


def test_an_interrupted_write_of_a_shard_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "00000.parquet"
    write_shard(drawn_lines(), path)
    old = path.read_bytes()

    def stop(file):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_shard(drawn_lines(number=3), path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [old]


def test_an_invalid_label_is_an_error_that_names_the_line(tmp_path):
    bad = dataclasses.replace(drawn_lines()[0], text=unicodedata.normalize("NFD", "hoà"))
    with pytest.raises(NetchuError, match=r"drawn line test-00: .* not in NFC"):
        write_table([bad], tmp_path / "table")
    assert not (tmp_path / "table").exists()


def test_a_missing_table_is_named_in_the_error(tmp_path):
    with pytest.raises(NetchuError, match=r"nowhere holds no line table; run 'dvc repro'"):
        read_table(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", [b"not parquet", b"PAR1", b""])
def test_a_damaged_shard_is_a_one_line_error(tmp_path, damage):
    write_table(drawn_lines(), tmp_path / "table")
    (tmp_path / "table" / "00000.parquet").write_bytes(damage)
    with pytest.raises(NetchuError, match="is not a line table") as caught:
        read_table(tmp_path / "table")
    assert "\n" not in str(caught.value)


def sides(**changes):
    """A train and a test line that share nothing, but for `changes` made to both."""
    lines = [*drawn_lines("train", 1), drawn_lines("test", 2)[1]]
    return as_table([dataclasses.replace(line, **changes) for line in lines])


def test_disjoint_splits_do_not_leak():
    assert check_leaks(sides()) == 0


@pytest.mark.parametrize("what", [{"writer": "An"}, {"image": b"same"}])
def test_a_writer_or_an_image_in_two_splits_is_named(what):
    (name,) = what
    with pytest.raises(NetchuError, match=rf"{name} .*is in 2 splits \(1 in total\)"):
        check_leaks(sides(**what))


def test_unknown_writers_and_shared_texts_are_not_leaks():
    assert check_leaks(sides(writer="")) == 0
    assert check_leaks(sides(text="hoà bình")) == 1


def test_equal_folders_have_equal_fingerprints_and_others_do_not(tmp_path):
    for name in ("a", "b"):
        write_table(drawn_lines(), tmp_path / name)
    prints = {hash_folder(tmp_path / "a"), hash_folder(tmp_path / "b")}
    assert len(prints) == 1
    write_table(drawn_lines(number=11), tmp_path / "b")
    prints.add(hash_folder(tmp_path / "b"))
    (tmp_path / "a" / "skipped.csv").rename(tmp_path / "a" / "left_out.csv")
    prints.add(hash_folder(tmp_path / "a"))
    assert len(prints) == 3
