"""Fetch Vietnamese newspaper articles of 2016 and 2017. Research data."""

from __future__ import annotations

from pathlib import Path

from netchu.data.downloads import Source, fetch_file, github_archive

SOURCE = Source(
    name="vi_news",
    file="vi_news.tar.xz",
    url=github_archive("magizbox/scraper", "3387ada618569fd73517092f2215a89398d8f7ee"),
    licence="research data without a licence to redistribute",
)


def fetch(folder: Path) -> None:
    """Fetch the archive into `folder`."""
    fetch_file(SOURCE, folder)
