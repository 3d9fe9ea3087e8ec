"""Fetch UIT-HWDB, photographed words, lines and paragraphs. Research data.

Upstream, the archives are on Google Drive, where they can neither be pinned nor be downloaded
without a browser. They come from a folder that the user unpacked, or from the mirror.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from rich.progress import track

from netchu.core.errors import NetchuError
from netchu.data.downloads import Source, download_folder, fetch_file, write_manifest

PAGE = "https://github.com/nghiangh/UIT-HWDB-dataset"
SOURCE = Source(
    name="uit_hwdb",
    file="uit_hwdb.tar",
    url="",
    licence="research data without a licence to redistribute",
    by_hand=f"download it in a browser from the links at {PAGE}, unpack it, and set "
    "sources.uit_hwdb.folder to its folder",
)
MEMBER = re.compile(
    r"(?:^|.*/)(?P<member>UIT_HWDB_(?P<level>word|line|paragraph)/(?P<part>train|test)_data/"
    r"(?P<writer>[^/]+)/(?P<file>[^/.][^/]*\.jpg|label\.json))"
)
"""Path of a file of the data set, in the archive or in an unpacked folder."""


def fetch(target: Path, /, folder: str = "") -> None:
    """Fetch the archive into `target`.

    Args:
        target: the folder to create.
        folder: where the user unpacked the data set; it is packed into one archive. Without it,
            the archive comes from the mirror.

    Raises:
        NetchuError: `folder` does not hold the data set or holds a file twice; without `folder`,
            as `fetch_file`.
    """
    if not folder:
        fetch_file(SOURCE, target)
        return
    with download_folder(target, SOURCE.name) as partial:
        _pack(Path(folder), partial / SOURCE.file)
        write_manifest(partial, SOURCE.name, SOURCE.licence)


def _pack(folder: Path, archive: Path) -> None:
    """Pack the files of the data set; the same files give the same bytes wherever they were."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (match := MEMBER.fullmatch(path.as_posix())):
            if other := found.get(match["member"]):
                raise NetchuError(
                    f"uit_hwdb: {other} and {path} are the same file of the data set; remove one"
                )
            found[match["member"]] = path
    if not found:
        raise NetchuError(
            f"uit_hwdb: {folder} holds no UIT_HWDB_<level>/{{train,test}}_data; set "
            f"sources.uit_hwdb.folder to where the archives of {PAGE} were unpacked"
        )
    with tarfile.open(archive, "w") as tar:
        for name in track(sorted(found), "packing uit_hwdb", transient=True):
            member = tarfile.TarInfo(name)
            with found[name].open("rb") as file:
                member.size = found[name].stat().st_size
                tar.addfile(member, file)
