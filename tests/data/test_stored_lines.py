"""Lines on disk are those that were stored, in order, in parts of any size."""

import pandas as pd
import pytest

from netchu.data import stored_lines as stored_lines_module
from netchu.data.line_table import read_table, write_table
from netchu.data.stored_images import StoredImages
from netchu.data.stored_lines import StoredLines, store_lines
from small_project import drawn_lines


@pytest.fixture(autouse=True)
def _small_parts_in_a_folder_of_their_own(project_folder, monkeypatch):
    monkeypatch.setattr(stored_lines_module, "SHARD_LINES", 5)


def test_lines_are_stored_and_read_one_by_one_in_order():
    lines = drawn_lines(number=12)
    stored = StoredLines(store_lines(iter(lines)))
    assert isinstance(stored.frame["image"].array, StoredImages)
    assert list(stored) == lines
    assert [stored[row] for row in (0, 7, -1)] == [lines[0], lines[7], lines[-1]]
    assert list(stored[3:9]) == lines[3:9]
    with pytest.raises(IndexError):
        stored[12]


def test_stored_lines_are_as_the_rows_of_a_table(tmp_path):
    lines = drawn_lines(number=12)
    write_table(lines, tmp_path / "table")
    table = read_table(tmp_path / "table")
    pd.testing.assert_frame_equal(
        store_lines(lines).assign(image=lambda frame: list(frame["image"])),
        table.assign(image=list(table["image"])),
    )


def test_no_line_is_an_empty_table(tmp_path):
    empty = store_lines([])
    write_table([], tmp_path / "table")
    pd.testing.assert_series_equal(empty.dtypes, read_table(tmp_path / "table").dtypes)
    assert list(StoredLines(empty)) == []
