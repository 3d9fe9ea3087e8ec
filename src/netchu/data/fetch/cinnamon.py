"""Fetch the scanned address lines of Cinnamon AI. Research data."""

from __future__ import annotations

from pathlib import Path

from netchu.data.downloads import Source, fetch_file, github_archive

SOURCE = Source(
    name="cinnamon",
    file="cinnamon.tar",
    url=github_archive(
        "hathucminh123/project-vietnamese-handwriting-ocr-",
        "5eeede98530882c765c552d3cc9ccac53e7bfe88",
    ),
    licence="research data without a licence to redistribute",
)


def fetch(folder: Path) -> None:
    """Fetch the archive into `folder`."""
    fetch_file(SOURCE, folder)
