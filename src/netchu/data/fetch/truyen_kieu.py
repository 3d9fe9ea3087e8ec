"""Fetch Truyện Kiều by Nguyễn Du, public domain: one text file."""

from __future__ import annotations

from pathlib import Path

from netchu.data.downloads import Source, fetch_file

SOURCE = Source(
    name="truyen_kieu",
    file="truyen_kieu.txt",
    url="https://raw.githubusercontent.com/SonPhatTranDeveloper/"
    "truyen-kieu-text-generation-with-lstm-and-rnn/"
    "d909da3a31c9931b7312707b575d5c41fec22e51/rawdata/truyen_kieu.txt",
    licence="public domain",
)


def fetch(folder: Path) -> None:
    """Fetch the text into `folder`."""
    fetch_file(SOURCE, folder)
