"""Sortable tables of the report's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netchu.core.formatting import UNKNOWN


@dataclass(frozen=True)
class Cell:
    """The text of a cell, and the number or word it is sorted by (None sorts last)."""

    text: str
    sort_key: float | str | None

    @classmethod
    def of(cls, text: str) -> Cell:
        """Return a cell that is sorted by its text."""
        return cls(text, None if text == UNKNOWN else text)


UNKNOWN_CELL = Cell(UNKNOWN, None)


@dataclass(frozen=True)
class Table:
    """Headings and rows; `label` describes the table to screen readers.

    is_text: cells hold sentences, which wrap, instead of numbers.
    """

    label: str
    head: tuple[str, ...]
    body: list[list[Cell]]
    is_text: bool = False


def text_table(label: str, head: Sequence[str], body: Sequence[Sequence[str]]) -> Table:
    """Return a table of texts."""
    return Table(label, tuple(head), [[Cell.of(text) for text in row] for row in body], True)
