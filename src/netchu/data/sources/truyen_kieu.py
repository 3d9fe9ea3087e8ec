"""Truyện Kiều by Nguyễn Du, public domain: 3,254 verses, text only."""

from __future__ import annotations

from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET, normalise
from netchu.data.sources.base import Source, fetch_file

SOURCE = Source(
    name="truyen_kieu",
    file="truyen_kieu.txt",
    url="https://raw.githubusercontent.com/SonPhatTranDeveloper/"
    "truyen-kieu-text-generation-with-lstm-and-rnn/"
    "d909da3a31c9931b7312707b575d5c41fec22e51/rawdata/truyen_kieu.txt",
    licence="public domain",
)


def fetch(folder: Path) -> None:
    """Bring the text into `folder`."""
    fetch_file(SOURCE, folder)


def texts(folder: Path) -> list[str]:
    """The verses in order, normalised; a verse outside the alphabet is left out.

    Raises:
        NetchuError: the text is not there.
    """
    path = folder / SOURCE.file
    if not path.is_file():
        raise NetchuError(f"no verses at {path}; run 'dvc repro download@truyen_kieu'")
    lines = (normalise(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and set(line) <= set(ALPHABET)]
