"""UIT-HWDB: words, lines and paragraphs of 255 writers on photographed paper. Research data.

It was made from the pen strokes of VNOnDB and shares writers and texts with it: never train on
the one and test on the other.

The archive holds `UIT_HWDB_<level>/{train,test}_data/<writer>/<n>.jpg`, and in each writer's
folder `label.json`, {file: text}. The writers of `test_data` are the official test.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path

from rich.progress import track

from netchu.core.errors import NetchuError
from netchu.data.line_table import LEVELS, Line, Skipped
from netchu.data.sources.base import (
    Source,
    fetch_file,
    filling,
    members,
    read_labels,
    write_manifest,
)
from netchu.data.sources.photos import photo_line

PAGE = "https://github.com/nghiangh/UIT-HWDB-dataset"
SOURCE = Source(
    name="uit_hwdb",
    file="uit_hwdb.tar",
    url="",
    licence="research data without a licence to redistribute",
    by_hand=f"download it by hand from the links at {PAGE}, unpack it, and name its folder as "
    "sources.uit_hwdb.folder",
)
SPLITS = {"train": "", "test": "test"}
"""Part -> official split ('' leaves it to preprocessing)."""
_PLACE = re.compile(
    r"(?:^|.*/)(?P<member>UIT_HWDB_(?P<level>word|line|paragraph)/(?P<part>train|test)_data/"
    r"(?P<writer>[^/]+)/(?P<file>[^/.][^/]*\.jpg|label\.json))"
)


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


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Every image of the wanted levels, in the archive's order; the writer is its folder."""
    archive = folder / SOURCE.file
    texts = {
        (place["level"], place["part"], place["writer"], file): text
        for place, content in _places(archive, "label.json", levels)
        for file, text in read_labels(content, place["member"], SOURCE).items()
    }
    if not texts:
        raise NetchuError(
            f"uit_hwdb: {SOURCE.file} holds no label.json of level {', '.join(levels)}; "
            "fetch it anew, with all its folders"
        )
    for place, content in _places(archive, ".jpg", levels):
        key = place["level"], place["part"], place["writer"], place["file"]
        if key in texts:
            split = SPLITS[place["part"]]
            yield photo_line(
                _id(*key), content, texts.pop(key), place["writer"], split, place["level"]
            )
        else:
            yield Skipped(_id(*key), "image without a label")
    for key in texts:
        yield Skipped(_id(*key), "label without an image")


def _id(level: str, part: str, writer: str, file: str) -> str:
    return f"uit_hwdb-{level}-{part}-{writer}-{Path(file).stem}"


def _places(
    archive: Path, suffix: str, levels: Collection[str]
) -> Iterator[tuple[re.Match[str], bytes]]:
    """The files of the wanted levels that end in `suffix`: where they lie, and their content."""
    for path, content in members(archive, SOURCE, suffix):
        if (place := _PLACE.fullmatch(path)) and place["level"] in levels:
            yield place, content


def _pack(folder: Path, archive: Path) -> None:
    """Pack what belongs to the data set; equal files give equal bytes, wherever they lay.

    Raises:
        NetchuError: nothing in `folder` belongs to it, or something does twice.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if place := _PLACE.fullmatch(path.as_posix()):
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
