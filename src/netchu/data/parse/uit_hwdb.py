"""UIT-HWDB: words, lines and paragraphs of 255 writers on photographed paper. Research data.

It was made from the pen strokes of VNOnDB and shares writers and texts with it: never train on
the one and test on the other.

The archive holds `UIT_HWDB_<level>/{train,test}_data/<writer>/<n>.jpg`, and in each writer's
folder `label.json`, {file: text}. The writers of `test_data` are the official test.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.data.archives import read_labels, tar_members
from netchu.data.fetch.uit_hwdb import MEMBER, SOURCE
from netchu.data.line_table import LEVELS, Line, Skipped
from netchu.data.parse.photo_lines import photo_line

SPLITS = {"train": "", "test": "test"}
"""Part -> official split ('' leaves it to preprocessing)."""


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Every image of the wanted levels, in the archive's order; the writer is its folder."""
    archive = folder / SOURCE.file
    texts = {
        (place["level"], place["part"], place["writer"], file): text
        for place, content in _places(archive, "label.json", levels)
        for file, text in read_labels(content, place["member"], SOURCE.name).items()
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
    for path, content in tar_members(archive, SOURCE.name, suffix):
        if (place := MEMBER.fullmatch(path)) and place["level"] in levels:
            yield place, content
