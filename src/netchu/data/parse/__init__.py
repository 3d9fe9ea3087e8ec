"""Reading fetched sources, one module per source of handwriting, texts or fonts.

Sources of handwriting are imported by name, so the code on which the stage `preprocess@DATASET`
depends is that of its own source, and a new module makes no other one stale.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from netchu.core.errors import NetchuError
from netchu.data.line_table import Line, Skipped

HANDWRITING = tuple(
    sorted(path.stem for path in Path(__file__).parent.glob("handwriting/[!_]*.py"))
)
"""Sources of handwriting: modules in `handwriting/` with a function `parse`."""


class Handwriting(Protocol):
    """The module of a source of handwriting."""

    def parse(self, folder: Path, levels: Collection[str]) -> Iterator[Line | Skipped]:
        """Yield the lines of the given levels.

        Texts are normalised; the split is '' or the source's own. A line that cannot be used is
        yielded as `Skipped`.
        """


def load_handwriting(name: str) -> Handwriting:
    """Return the module of source `name`.

    Raises:
        NetchuError: it is not a source of handwriting.
    """
    if name not in HANDWRITING:
        raise NetchuError(
            f"unknown source of handwriting {name!r}; known: {', '.join(HANDWRITING)}"
        )
    return cast(Handwriting, import_module(f"{__name__}.handwriting.{name}"))
