"""UIT-HWDB: words, lines and paragraphs of 255 writers on photographed paper. Research data.

It was made from the pen strokes of VNOnDB and shares writers and texts with it: never train on
the one and test on the other.

The archive holds `UIT_HWDB_<level>/{train,test}_data/<writer>/<n>.jpg`, and in each writer's
folder `label.json`, {file: text}. The writers of `test_data` are the official test.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from rich.progress import track

from netchu.core.errors import NetchuError
from netchu.data.fetch.download import Source, fetch_file, filling, write_manifest

PAGE = "https://github.com/nghiangh/UIT-HWDB-dataset"
SOURCE = Source(
    name="uit_hwdb",
    file="uit_hwdb.tar",
    url="",
    licence="research data without a licence to redistribute",
    by_hand=f"download it by hand from the links at {PAGE}, unpack it, and name its folder as "
    "sources.uit_hwdb.folder",
)
MEMBER = re.compile(
    r"(?:^|.*/)(?P<member>UIT_HWDB_(?P<level>word|line|paragraph)/(?P<part>train|test)_data/"
    r"(?P<writer>[^/]+)/(?P<file>[^/.][^/]*\.jpg|label\.json))"
)
"""Where a file of the data set lies in its archive, or in a folder that was unpacked."""


def fetch(target: Path, /, folder: str = "") -> None:
    """Bring the archive into `target`; it is made of `folder`, where the user unpacked it.

    Without `folder` it comes from the mirror: upstream it lies behind links to Google Drive, which
    can be neither pinned nor fetched without a browser.
    """
    if not folder:
        fetch_file(SOURCE, target)
        return
    with filling(target, SOURCE.name) as partial:
        _pack(Path(folder), partial / SOURCE.file)
        write_manifest(partial, SOURCE.name, SOURCE.licence)


def _pack(folder: Path, archive: Path) -> None:
    """Pack what belongs to the data set; equal files give equal bytes, wherever they lay.

    Raises:
        NetchuError: nothing in `folder` belongs to it, or something does twice.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if place := MEMBER.fullmatch(path.as_posix()):
            if other := found.get(place["member"]):
                raise NetchuError(f"uit_hwdb: {other} and {path} are the same; keep one copy")
            found[place["member"]] = path
    if not found:
        raise NetchuError(
            f"uit_hwdb: {folder} holds no UIT_HWDB_<level>/{{train,test}}_data; name the folder "
            f"into which the archives of {PAGE} were unpacked"
        )
    with tarfile.open(archive, "w") as tar:
        for name in track(sorted(found), "packing uit_hwdb", transient=True):
            member = tarfile.TarInfo(name)
            with found[name].open("rb") as file:
                member.size = found[name].stat().st_size
                tar.addfile(member, file)
