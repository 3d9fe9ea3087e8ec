"""Kalapa OCR 2023: photographed address lines, 27 by each writer. Research data.

The archive holds `…/images/<writer>/<n>.jpg` and `…/annotations/<writer>.txt`, whose rows are
`<writer>/<n>.jpg<TAB>text`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.data.archives import read_text, tar_members
from netchu.data.fetch.kalapa import SOURCE
from netchu.data.line_table import Line, Skipped
from netchu.data.parse.photo_lines import photo_line


def parse(folder: Path, levels: Collection[str] = ("line",)) -> Iterator[Line | Skipped]:
    """Yield every line in the archive's order; the writer is the folder of the photo."""
    if "line" not in levels:
        return
    archive = folder / SOURCE.file
    texts = _labels(archive)
    if not texts:
        raise NetchuError(f"kalapa: {SOURCE.file} holds no annotations/*.txt; download it again")
    for path, content in tar_members(archive, SOURCE.name, ".jpg"):
        parts = Path(path).parts
        if len(parts) < 3 or parts[-3] != "images":
            continue
        photo = f"{parts[-2]}/{parts[-1]}"
        name = f"kalapa-{parts[-2]}-{Path(path).stem}"
        if photo in texts:
            yield photo_line(name, content, texts.pop(photo), parts[-2], "")
        else:
            yield Skipped(name, "image without a label")
    for photo in texts:
        yield Skipped(
            f"kalapa-{photo.removesuffix('.jpg').replace('/', '-')}", "label without an image"
        )


def _labels(archive: Path) -> dict[str, str]:
    """Return the text of each '<writer>/<n>.jpg'."""
    texts: dict[str, str] = {}
    for path, content in tar_members(archive, SOURCE.name, ".txt"):
        if Path(path).parent.name == "annotations":
            for row in read_text(content, path, SOURCE.name).splitlines():
                photo, _, text = row.partition("\t")
                if photo.strip():
                    texts[photo.strip()] = text
    return texts
