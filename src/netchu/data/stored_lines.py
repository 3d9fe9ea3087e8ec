"""Lines on disk, so that their number is not limited by memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import pandas as pd

from netchu.data.line_table import SCHEMA, SHARD_LINES, Line, as_arrow, as_frame
from netchu.data.stored_frames import frame_parts


def store_lines(lines: Iterable[Line]) -> pd.DataFrame:
    """Return lines as `read_table` does: as a frame on disk.

    Raises:
        OSError: the disk is full.
    """
    lines = iter(lines)
    parts = iter(lambda: list(islice(lines, SHARD_LINES)), [])
    return as_frame(as_arrow(part) for part in parts)


class StoredLines(Sequence[Line]):
    """The rows of a frame as lines, each of which is read when it is asked for.

    Args:
        frame: rows of a line table, from `store_lines` or `read_table`.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame[SCHEMA.names]
        self._columns: list[Any] = [self.frame[name].array for name in SCHEMA.names]

    def __len__(self) -> int:
        return len(self.frame)

    @overload
    def __getitem__(self, index: int) -> Line: ...
    @overload
    def __getitem__(self, index: slice) -> StoredLines: ...
    def __getitem__(self, index: int | slice) -> Line | StoredLines:
        if isinstance(index, slice):
            return StoredLines(self.frame.iloc[index])
        row = range(len(self))[index]
        values = [column[row] for column in self._columns]
        values[-2:] = map(int, values[-2:])  # width and height, NumPy's integers in the frame
        return Line(*values)

    def __iter__(self) -> Iterator[Line]:
        for part in frame_parts(self.frame):
            columns: list[list[Any]] = [part[name].tolist() for name in SCHEMA.names]
            for values in zip(*columns, strict=True):
                yield Line(*values)
