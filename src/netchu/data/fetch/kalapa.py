"""Fetch Kalapa OCR 2023, photographed address lines. Research data."""

from __future__ import annotations

from pathlib import Path

from netchu.data.downloads import Source, fetch_file, github_archive

SOURCE = Source(
    name="kalapa",
    file="kalapa.tar",
    url=github_archive(
        "HiImKing1509/Kalapa2023-Vietnamese-Handwritten-OCR",
        "748ff0dc6d8581cbbace433a9ae2b9dbc6e22e16",
    ),
    licence="research data without a licence to redistribute",
)


def fetch(folder: Path) -> None:
    """Fetch the archive into `folder`."""
    fetch_file(SOURCE, folder)
