"""Kalapa OCR 2023: photographed address lines, 27 of each writer. Research data.

The archive holds `…/images/<writer>/<n>.jpg` and `…/annotations/<writer>.txt`, whose rows are
`<writer>/<n>.jpg<TAB>text`.
"""

from __future__ import annotations

from pathlib import Path

from netchu.data.fetch.download import Source, fetch_file, github_archive

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
    """Bring the archive into `folder`."""
    fetch_file(SOURCE, folder)
