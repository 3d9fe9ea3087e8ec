"""Truyện Kiều by Nguyễn Du, public domain: 3,254 verses, text only."""

from __future__ import annotations

from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET, normalise
from netchu.data.fetch.truyen_kieu import SOURCE


def texts(folder: Path) -> list[str]:
    """Return the verses in order, normalised; verses outside the alphabet are left out.

    Raises:
        NetchuError: the text has not been fetched.
    """
    path = folder / SOURCE.file
    if not path.is_file():
        raise NetchuError(f"no verses at {path}; run 'dvc repro download@truyen_kieu'")
    lines = (normalise(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and set(line) <= set(ALPHABET)]
