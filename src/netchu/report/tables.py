"""Tables of the page: cells that know by what they are sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netchu.core.formatting import UNKNOWN


@dataclass(frozen=True)
class Cell:
    """What a cell says, and the number or word that orders it (None stands last)."""

    text: str
    order: float | str | None

    @classmethod
    def of(cls, text: str, order: float | str | None = None) -> Cell:
        """A cell ordered by `order`; by its text where no order is given and the text is known."""
        return cls(text, order if order is not None or text == UNKNOWN else text)


@dataclass(frozen=True)
class Table:
    """Headings and rows; `words` says that cells hold sentences, which wrap, and no numbers."""

    about: str
    head: tuple[str, ...]
    body: list[list[Cell]]
    words: bool = False


def words(about: str, head: Sequence[str], body: Sequence[Sequence[str]]) -> Table:
    """A table of texts."""
    return Table(about, tuple(head), [[Cell.of(text) for text in row] for row in body], words=True)
