"""Synthetic lines: the line table that the stage `synthesize` wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from netchu.data.line_table import LEVELS, Line, Skipped, read_skipped, read_table


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Yield the lines of the given levels with the splits that synthesis gave them."""
    for row in read_table(folder).to_dict("records"):
        if row["level"] in levels:
            yield Line(**{str(key): value for key, value in row.items()})
    yield from read_skipped(folder)
