"""Reading fetched sources: one file per source of handwriting, texts or fonts.

A module is imported by name and only when it is asked for, so that a stage depends on the source
that it reads and on no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from netchu.core.errors import NetchuError
from netchu.data.line_table import Line, Skipped

HANDWRITING = ("kalapa", "cinnamon", "vnondb", "uit_hwdb", "csv", "synthetic")
"""Sources of handwriting, each read by the function `parse` of the module of its name."""


class Handwriting(Protocol):
    """The module of a source of handwriting."""

    def parse(self, folder: Path, levels: Collection[str]) -> Iterator[Line | Skipped]:
        """Yield the lines of the wanted levels.

        Texts are normalised; the split is empty or the source's own. An image that cannot be used
        is yielded as `Skipped`.
        """


def load_handwriting(name: str) -> Handwriting:
    """Return the module of source `name`.

    Raises:
        NetchuError: it is not a source of handwriting.
    """
    if name not in HANDWRITING:
        raise NetchuError(
            f"unknown source of handwriting {name!r}; there are: {', '.join(HANDWRITING)}"
        )
    return cast(Handwriting, import_module(f"netchu.data.parse.{name}"))
