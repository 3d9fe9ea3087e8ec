"""Truyện Kiều by Nguyễn Du, public domain: 3,254 verses, text only."""

from __future__ import annotations

from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.files import read_regular_file
from netchu.core.text import ALPHABET, normalise
from netchu.data.archives import MAX_MEMBER_BYTES, read_text
from netchu.data.fetch.truyen_kieu import SOURCE


def texts(folder: Path) -> list[str]:
    """Return the verses in order, normalised; verses outside the alphabet are left out.

    Raises:
        NetchuError: the text has not been fetched, is too large or not UTF-8.
    """
    path = folder / SOURCE.file
    if not path.is_file():
        raise NetchuError(f"no verses at {path}; run 'dvc repro download@truyen_kieu'")
    text = read_text(read_regular_file(path, MAX_MEMBER_BYTES), path.name, SOURCE.name)
    lines = (normalise(line) for line in text.splitlines())
    return [line for line in lines if line and set(line) <= set(ALPHABET)]
