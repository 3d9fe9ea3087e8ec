"""Synthetic lines: the line table that the stage `synthesize` wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from netchu.data.line_table import LEVELS, Line, Skipped, iterate_table, read_skipped


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Yield the lines of the given levels with the splits that synthesis gave them."""
    for line in iterate_table(folder):
        if line.level in levels:
            yield line
    yield from read_skipped(folder)
