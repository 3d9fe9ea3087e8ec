"""Fetched fonts: their families, and the characters that they can draw."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError

from netchu.core.errors import NetchuError


def families(folder: Path) -> dict[str, list[Path]]:
    """Family -> its font files, both in alphabetical order.

    Raises:
        NetchuError: there are no fonts in `folder`.
    """
    found = {
        family.name: files
        for family in sorted(p for p in folder.glob("*") if p.is_dir())
        if (files := sorted(family.glob("*.ttf")))
    }
    if not found:
        raise NetchuError(f"no fonts in {folder}; run 'dvc repro download@fonts'")
    return found


@lru_cache(maxsize=512)
def letters(font: Path) -> frozenset[str]:
    """The characters that `font` can draw."""
    try:
        with TTFont(font, lazy=True) as file:
            return frozenset(chr(code) for code in file.getBestCmap())
    except (TTLibError, OSError) as error:
        raise NetchuError(f"{font} is not a font ({error}); remove it and fetch anew") from None


def missing(text: str, font: Path) -> str:
    """The characters of `text` that `font` lacks, which would come out as boxes; '' if none."""
    return "".join(sorted(set(text) - letters(font)))
