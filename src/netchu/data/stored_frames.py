"""Data frames on disk, so that the number of their rows is not limited by memory.

A column is a file without a name, mapped into memory. Its pages are read when they are used, all
processes share them, and the kernel may drop them whenever it needs the memory. The frames have the
same types as others. Selecting many rows the usual way copies them into memory; `select_rows`
stores them anew. The functions that go over all rows take some at a time and then release their
pages, which would otherwise count as memory of the process until the kernel needs it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from netchu.core.files import naming
from netchu.core.paths import SCRATCH
from netchu.data.stored_images import (
    PLACE,
    ImageFile,
    StoredImageDtype,
    StoredImages,
    content_of,
    unnamed_file,
)

PART_ROWS = 2000
"""Rows that are in memory at a time."""

GROUP_ROWS = 50_000
"""Rows whose keys are in memory at a time, about; see `groups_by_key`."""

STRING = pd.StringDtype("pyarrow", na_value=np.nan)
"""Type of columns of strings, which wrap an Arrow array without a copy."""

_MAPPINGS: WeakSet[mmap.mmap] = WeakSet()
"""Of all columns of this process."""


def store_frames(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return frames with the same columns as one frame on disk, with rows numbered from 0.

    Args:
        parts: at least one frame, of columns of strings, numbers and `StoredImages`.

    Raises:
        OSError: the disk is full.
        ValueError: a string is missing.
    """
    columns: dict[str, _Column] = {}
    for part in parts:
        columns = columns or {str(name): _column_for(part[name]) for name in part}
        for name, column in columns.items():
            column.append(part[name].array)
    return pd.DataFrame({name: column.mapped() for name, column in columns.items()}, copy=False)


def store_strings(parts: Iterable[Sequence[str]]) -> Any:
    """Return a column of strings on disk, for `DataFrame.assign`.

    Raises:
        OSError: the disk is full.
    """
    column = _StringColumn()
    for part in parts:
        column.append(part)
    return column.mapped()


def frame_parts(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the rows of a frame, `PART_ROWS` at a time; an empty frame has one empty part."""
    for part in _parts(len(frame)):
        yield frame.iloc[part]


def _parts(rows: int) -> Iterator[slice]:
    for start in range(0, max(1, rows), PART_ROWS):
        yield slice(start, start + PART_ROWS)
        release_pages()


def release_pages() -> None:
    """Release the pages of all columns on disk; they are mapped again when they are used."""
    for mapping in list(_MAPPINGS):
        mapping.madvise(mmap.MADV_DONTNEED)


def equal_to(column: pd.Series, value: str) -> NDArray[np.bool_]:
    """Return for each row of a column of strings whether it is `value`."""
    found = np.empty(len(column), np.bool_)
    for part in _parts(len(column)):
        found[part] = column.iloc[part] == value
    return found


def sorted_codes(column: pd.Series) -> NDArray[np.int32]:
    """Return for each row of a column of strings the rank of its value among those that occur."""
    numbers: dict[str, int] = {}
    codes = np.empty(len(column), np.int32)
    for part in _parts(len(column)):
        found, values = pd.factorize(column.iloc[part])
        codes[part] = np.array([numbers.setdefault(value, len(numbers)) for value in values], int)[
            found
        ]
    ranks = np.empty(len(numbers), np.int32)
    ranks[[numbers[value] for value in sorted(numbers)]] = np.arange(len(numbers))
    return ranks[codes]


def select_rows(frame: pd.DataFrame, wanted: ArrayLike) -> pd.DataFrame:
    """Return the rows for which `wanted` is true, numbered from 0.

    They are on disk if the images of the frame are.

    Raises:
        OSError: the disk is full.
    """
    wanted = np.asarray(wanted, np.bool_)
    if wanted.all():
        return frame.reset_index(drop=True)
    if not any(isinstance(dtype, StoredImageDtype) for dtype in frame.dtypes):
        return frame[wanted].reset_index(drop=True)
    chosen = np.array_split(wanted, range(PART_ROWS, len(frame), PART_ROWS))
    return store_frames(part[rows] for part, rows in zip(frame_parts(frame), chosen, strict=True))


def groups_by_key(frame: pd.DataFrame, key: str) -> Iterator[pd.DataFrame]:
    """Yield all rows of a frame in groups of about `GROUP_ROWS`, in order within a group.

    Rows with equal keys are in the same group, so that what compares rows needs memory for one
    group only.

    Args:
        frame: columns of strings.
        key: name of the column of keys.
    """
    groups = len(frame) // GROUP_ROWS + 1
    group_of = np.empty(len(frame), np.uint32)
    for part in _parts(len(frame)):
        group_of[part] = pd.util.hash_array(frame[key].iloc[part].array) % groups
    for group in range(groups):
        rows = np.flatnonzero(group_of == group)
        yield pd.concat([frame.iloc[rows[part]] for part in _parts(len(rows))])


class _Column(Protocol):
    """A column that is being written."""

    def append(self, values: Any) -> None: ...
    def mapped(self) -> Any: ...


def _column_for(values: pd.Series) -> _Column:
    if isinstance(values.array, StoredImages):
        return _ImageColumn()
    return _NumberColumn(values.dtype) if isinstance(values.dtype, np.dtype) else _StringColumn()


class _ColumnFile:
    """A file without a name that is written and then mapped."""

    def __init__(self) -> None:
        self._file = unnamed_file()
        self._size = 0

    def write(self, content: Any) -> None:
        with naming(SCRATCH):
            self._size += self._file.write(content)

    def mapped(self) -> pa.Buffer:
        with naming(SCRATCH):
            self._file.flush()
        if not self._size:
            return pa.py_buffer(b"")
        mapping = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
        _MAPPINGS.add(mapping)
        return pa.py_buffer(mapping)


class _NumberColumn:
    """Numbers of one type."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype, self._file = dtype, _ColumnFile()

    def append(self, values: Any) -> None:
        self._file.write(np.asarray(values).astype(self._dtype, casting="safe").tobytes())

    def mapped(self) -> NDArray[Any]:
        return np.frombuffer(self._file.mapped(), self._dtype)


class _StringColumn:
    """Strings as Arrow stores them: where each ends, in one file, and their bytes in another."""

    def __init__(self) -> None:
        self._ends, self._bytes = _ColumnFile(), _ColumnFile()
        self._ends.write(np.int64(0).tobytes())
        self._number = self._end = 0

    def append(self, values: Any) -> None:
        strings = pa.array(values, pa.large_string())
        if isinstance(strings, pa.ChunkedArray):
            strings = strings.combine_chunks()
        if strings.null_count:
            raise ValueError("a string is missing")
        bounds, content = content_of(strings)
        self._ends.write((bounds[1:] + self._end).tobytes())
        self._bytes.write(content)
        self._number += len(strings)
        self._end += len(content)

    def mapped(self) -> Any:
        ends, content = self._ends.mapped(), self._bytes.mapped()
        strings = pa.LargeStringArray.from_buffers(self._number, ends, content, null_count=0)
        return STRING.__from_arrow__(strings)  # type: ignore[attr-defined]  # pandas-stubs lack it


class _ImageColumn:
    """Places of images. The images stay where they are."""

    def __init__(self) -> None:
        self._files: dict[ImageFile, int] = {}
        self._places = _NumberColumn(PLACE)

    def append(self, values: StoredImages) -> None:
        numbers = [self._files.setdefault(file, len(self._files)) for file in values.files]
        places = values.places.copy()
        places["file"] = np.array(numbers, np.uint16)[places["file"]]
        self._places.append(places)

    def mapped(self) -> StoredImages:
        return StoredImages(tuple(self._files), self._places.mapped())
