"""Frames on disk are those that were stored, and selections of them stay on disk."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.paths import SCRATCH
from netchu.data import stored_frames
from netchu.data.stored_frames import (
    equal_to,
    frame_parts,
    groups_by_key,
    select_rows,
    sorted_codes,
    store_frames,
    store_strings,
)
from netchu.data.stored_images import StoredImages
from small_project import as_table, drawn_lines


@pytest.fixture(autouse=True)
def _small_parts_in_a_folder_of_their_own(project_folder, monkeypatch):
    monkeypatch.setattr(stored_frames, "PART_ROWS", 5)


def with_stored_images(frame):
    return frame.assign(image=StoredImages.of(frame["image"].tolist()))


def assert_same(found, wanted):
    assert isinstance(found["image"].array, StoredImages)
    pd.testing.assert_frame_equal(
        found.assign(image=found["image"].tolist()), wanted.assign(image=wanted["image"].tolist())
    )


def test_frames_are_read_as_they_were_stored():
    tables = [as_table(drawn_lines(split, 12)).assign(weight=0.5) for split in ("train", "val")]
    stored = store_frames(
        part for table in tables for part in frame_parts(with_stored_images(table).iloc[1:])
    )
    assert_same(stored, pd.concat([table.iloc[1:] for table in tables], ignore_index=True))
    assert len(stored["image"].array.files) == 2
    assert list(SCRATCH.iterdir()) == []
    again = store_frames([stored.iloc[3:3], stored.iloc[[20, 2]], stored.iloc[4:6]])
    assert_same(again, stored.iloc[[20, 2, 4, 5]].reset_index(drop=True))
    assert len(store_frames([stored.iloc[:0]])) == 0


def test_parts_are_all_rows_in_order_and_an_empty_frame_has_one():
    frame = as_table(drawn_lines(number=12))
    assert [len(part) for part in frame_parts(frame)] == [5, 5, 2]
    pd.testing.assert_frame_equal(pd.concat(frame_parts(frame)), frame)
    assert [len(part) for part in frame_parts(frame.iloc[:0])] == [0]


@pytest.mark.parametrize("rows", [(), (0,), (4, 5, 11), range(1, 11), range(12)])
def test_selected_rows_are_where_the_table_is(rows):
    frame = as_table(drawn_lines(number=12)).set_index(pd.RangeIndex(30, 42))
    wanted = np.isin(range(12), rows)
    chosen = frame[wanted].reset_index(drop=True)
    pd.testing.assert_frame_equal(select_rows(frame, wanted), chosen)
    assert_same(select_rows(with_stored_images(frame), pd.Series(wanted, frame.index)), chosen)


def test_what_cannot_be_stored_unchanged_is_an_error():
    with pytest.raises(ValueError, match="a string is missing"):
        store_strings([["a"], ["b", None]])
    whole = pd.DataFrame({"weight": [1, 2]})
    with pytest.raises(TypeError, match="Cannot cast"):
        store_frames([whole, whole / 4])


@given(st.lists(st.sampled_from(("", "An", "Bình", "Chi")) | st.text(max_size=2), max_size=40))
def test_rows_with_equal_keys_are_in_one_group_and_each_row_is_in_one(keys):
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(stored_frames, "GROUP_ROWS", 7)
        frame = pd.DataFrame({"key": keys, "other": keys}, dtype="str")
        groups = list(groups_by_key(frame, "key"))
    assert len(groups) == len(keys) // 7 + 1
    assert all(group.index.is_monotonic_increasing for group in groups)
    pd.testing.assert_frame_equal(pd.concat(groups).sort_index(), frame)
    assert sum(group["key"].nunique() for group in groups) == len(set(keys))


@given(st.lists(st.sampled_from(("", "An", "Bình", "Chi")) | st.text(max_size=2), max_size=40))
def test_codes_are_in_the_order_of_the_values(values):
    column = pd.Series(values, dtype="str")
    ranks = {value: rank for rank, value in enumerate(sorted(set(values)))}
    assert sorted_codes(column).tolist() == [ranks[value] for value in values]
    assert equal_to(column, "An").tolist() == [value == "An" for value in values]
