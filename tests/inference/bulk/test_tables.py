"""A run that was stopped anywhere leaves tables with each file once or not at all."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from netchu.core.errors import NetchuError
from netchu.inference.bulk import tables
from netchu.inference.bulk.tables import ReadingsTable, error_row, reading_row
from netchu.inference.results import LineReading, PhotoReading

SETTINGS = {"model": "hash", "line": False}


def row(path, page=None):
    lines = (
        LineReading("hai", 0.75, (1, 2, 30, 40), ()),
        LineReading("ba", 0.5, (1, 50, 9, 90), ()),
    )
    photo = PhotoReading("hai\nba", 0.5, lines, (300, 200), 1, ((5, 6, 7, 8),))
    return reading_row(path, page, photo, "hash")


def test_a_row_has_the_lines_and_their_boxes(tmp_path):
    table = ReadingsTable(tmp_path / "r.parquet", SETTINGS)
    table.add([row("a.tif", 2)])
    table.flush()
    assert pq.read_table(table.out).to_pylist() == [
        {
            "path": "a.tif", "page": 2, "text": "hai\nba", "confidence": 0.5,
            "lines": ["hai", "ba"], "confidences": [0.75, 0.5],
            "boxes": [[1, 2, 30, 40], [1, 50, 9, 90]], "unread": [[5, 6, 7, 8]], "width": 300,
            "height": 200, "turns": 1,
            "model": "hash",
        }
    ]  # fmt: skip
    assert not table.errors.exists()


def test_shards_have_a_number_of_rows_or_an_age(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "SHARD_ROWS", 3)
    table = ReadingsTable(tmp_path / "r.parquet", SETTINGS)
    for name in "abcd":
        table.add([row(name)])
    assert [path.name for path in table.out.iterdir()] == ["000000.parquet"]
    monkeypatch.setattr(tables, "SHARD_SECONDS", 0)
    table.add([error_row("e", None, "bad")])
    assert len(list(table.out.iterdir())) == 2
    assert (table.read_pages, table.failed_pages) == (4, 1)
    again = ReadingsTable(tmp_path / "r.parquet", SETTINGS)
    assert (again.read_pages, again.failed_pages) == (4, 1)
    assert sorted(again.files()) == list("abcde")


def test_a_process_killed_between_both_shards_has_written_neither(tmp_path, monkeypatch):
    table = ReadingsTable(tmp_path / "r.parquet", SETTINGS)
    table.add([row("a")])
    table.flush()
    write = ReadingsTable._write

    def die(self, rows, schema, path):
        if path.parent == self.out:
            raise KeyboardInterrupt
        write(self, rows, schema, path)

    monkeypatch.setattr(ReadingsTable, "_write", die)
    table.add([row("b"), error_row("b", 2, "bad")])
    with pytest.raises(KeyboardInterrupt):
        table.flush()
    monkeypatch.undo()
    assert len(list(table.errors.iterdir())) == 1
    (table.out / "000001.parquet.x.part").touch()
    again = ReadingsTable(table.out, SETTINGS)
    assert list(again.files()) == ["a"]
    assert list(again.errors.iterdir()) == []
    assert [path.name for path in again.out.iterdir()] == ["000000.parquet"]
    table.flush()  # as `finally` does where the process lived on
    assert sorted(ReadingsTable(table.out, SETTINGS).files()) == ["a", "b", "b"]


def test_errors_alone_are_committed_by_an_empty_shard(tmp_path):
    table = ReadingsTable(tmp_path / "r.parquet", SETTINGS)
    table.add([error_row("a", None, "two\nlines")])
    table.flush()
    assert pq.read_table(table.errors).to_pylist() == [
        {"path": "a", "page": None, "error": "two lines"}
    ]
    assert pq.read_table(table.out).num_rows == 0
    assert list(ReadingsTable(table.out, SETTINGS).files()) == ["a"]


def test_other_content_is_refused(tmp_path):
    table = ReadingsTable(tmp_path / "r.parquet", SETTINGS)
    table.add([row("a")])
    table.flush()
    with pytest.raises(NetchuError, match="another model, or with other options; name another"):
        ReadingsTable(table.out, SETTINGS | {"line": True})
    pq.write_table(pa.table({"x": [1]}), table.out / "000001.parquet")
    with pytest.raises(NetchuError, match=r"000001.parquet was not written by netchu read"):
        ReadingsTable(table.out, SETTINGS)
    (table.out / "000001.parquet").write_text("no Parquet")
    with pytest.raises(NetchuError, match=r"000001.parquet is damaged"):
        ReadingsTable(table.out, SETTINGS)
    (tmp_path / "f.parquet").touch()
    with pytest.raises(NetchuError, match=r"f.parquet is no folder"):
        ReadingsTable(tmp_path / "f.parquet", SETTINGS)
