"""Fetch articles of the Vietnamese Wikipedia (CC BY-SA 3.0)."""

from __future__ import annotations

from pathlib import Path

from netchu.data.downloads import Source, fetch_file, github_archive

SOURCE = Source(
    name="vi_wikipedia",
    file="vi_wikipedia.tar.xz",
    url=github_archive("undertheseanlp/corpus.viwiki", "0b727cc0461e1de6435d4ec70c99dc86253e56d8"),
    licence="CC BY-SA 3.0",
)


def fetch(folder: Path) -> None:
    """Fetch the archive into `folder`."""
    fetch_file(SOURCE, folder)
