"""HANDS-VNOnDB2018: pen strokes of words, lines and paragraphs, drawn as images. Research data.

The archive holds `…/InkData_<level>/<session>.inkml`; a session is one writer writing one text,
and stands in all three levels. Coordinates are the tablet's; y grows downwards. Words, lines and
paragraphs of a session are drawn at one scale, at which its lines are 64 pixels high, so that a
word without tall letters is not blown up.
"""

from __future__ import annotations

from pathlib import Path

from netchu.data.fetch.download import Source, fetch_file, github_archive

SOURCE = Source(
    name="vnondb",
    file="vnondb.tar.xz",
    url=github_archive("Gumbolab/HandRec", "3109d892c41564d245728432169001890ea91fde"),
    licence="research data without a licence to redistribute",
)


def fetch(folder: Path) -> None:
    """Bring the archive into `folder`."""
    fetch_file(SOURCE, folder)
