"""Fetch HANDS-VNOnDB2018, pen strokes of words, lines and paragraphs. Research data."""

from __future__ import annotations

from pathlib import Path

from netchu.data.downloads import Source, fetch_file, github_archive

SOURCE = Source(
    name="vnondb",
    file="vnondb.tar.xz",
    url=github_archive("Gumbolab/HandRec", "3109d892c41564d245728432169001890ea91fde"),
    licence="research data without a licence to redistribute",
)


def fetch(folder: Path) -> None:
    """Fetch the archive into `folder`."""
    fetch_file(SOURCE, folder)
