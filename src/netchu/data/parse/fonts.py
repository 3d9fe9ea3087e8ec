"""Families of fetched fonts, and the characters that a font covers."""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError

from netchu.core.errors import NetchuError


def font_families(folder: Path) -> dict[str, list[Path]]:
    """Return the font files of each family, both in alphabetical order.

    Raises:
        NetchuError: `folder` holds no fonts.
    """
    found = {
        family.name: files
        for family in sorted(p for p in folder.glob("*") if p.is_dir())
        if (files := sorted(family.glob("*.ttf")))
    }
    if not found:
        raise NetchuError(f"no fonts in {folder}; run 'dvc repro download@fonts'")
    return found


_DAMAGED = (
    TTLibError, OSError, struct.error, AssertionError, AttributeError, EOFError, LookupError,
    MemoryError, TypeError, ValueError,
)  # fmt: skip
"""What fontTools raises for a damaged font."""


@lru_cache(maxsize=512)
def covered_characters(font: Path) -> frozenset[str]:
    """Return the characters for which a font has a glyph.

    Raises:
        NetchuError: the file is not a font.
    """
    try:
        with TTFont(font, lazy=True) as file:
            return frozenset(chr(code) for code in file.getBestCmap())
    except _DAMAGED as error:
        raise NetchuError(
            f"{font} is not a font ({error}); run 'dvc repro -f download@fonts'"
        ) from None


def missing_characters(text: str, font: Path) -> str:
    """Return the characters of `text` without a glyph in `font`; they would be drawn as boxes."""
    return "".join(sorted(set(text) - covered_characters(font)))
