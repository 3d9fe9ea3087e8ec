"""Fetch the provinces, districts, wards and streets of Vietnam (MIT): one archive of JSON."""

from __future__ import annotations

from pathlib import Path

from netchu.data.downloads import Source, fetch_file, github_archive

SOURCE = Source(
    name="vietnam_dataset",
    file="vietnam_dataset.tar.xz",
    url=github_archive("thien0291/vietnam_dataset", "f1bb0d71e99015869768903ecef2b444ed9e3266"),
    licence="MIT",
)


def fetch(folder: Path) -> None:
    """Fetch the archive into `folder`."""
    fetch_file(SOURCE, folder)
