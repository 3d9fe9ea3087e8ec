"""UIT-HWDB: words, lines and paragraphs of 255 writers on photographed paper. Research data.

It was made from the pen strokes of VNOnDB and shares writers and texts with it: do not train on one
and test on the other.

The archive holds `UIT_HWDB_<level>/{train,test}_data/<writer>/<n>.jpg` and, in the folder of each
writer, `label.json`: {file: text}. The writers of `test_data` are the official test.
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
    """Yield every image of the given levels in the archive's order; the writer is its folder."""
    archive = folder / SOURCE.file
    texts = {
        (match["level"], match["part"], match["writer"], file): text
        for match, content in _files(archive, "label.json", levels)
        for file, text in read_labels(content, match["member"], SOURCE.name).items()
    }
    if not texts:
        raise NetchuError(
            f"uit_hwdb: {SOURCE.file} holds no label.json of level {', '.join(levels)}; "
            "fetch it again with all its folders"
        )
    for match, content in _files(archive, ".jpg", levels):
        key = match["level"], match["part"], match["writer"], match["file"]
        if key in texts:
            split = SPLITS[match["part"]]
            yield photo_line(
                _id(*key), content, texts.pop(key), match["writer"], split, match["level"]
            )
        else:
            yield Skipped(_id(*key), "image without a label")
    for key in texts:
        yield Skipped(_id(*key), "label without an image")


def _id(level: str, part: str, writer: str, file: str) -> str:
    return f"uit_hwdb-{level}-{part}-{writer}-{Path(file).stem}"


def _files(
    archive: Path, suffix: str, levels: Collection[str]
) -> Iterator[tuple[re.Match[str], bytes]]:
    """Yield the parts of the path and the content of each file that ends in `suffix`."""
    for path, content in tar_members(archive, SOURCE.name, suffix):
        if (match := MEMBER.fullmatch(path)) and match["level"] in levels:
            yield match, content
