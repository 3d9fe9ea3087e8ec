"""Kalapa OCR 2023: photographed address lines, 27 by each writer. Research data.

The archive holds `training_data/images/<writer>/<n>.jpg` and
`training_data/annotations/<writer>.txt`, whose rows are `<writer>/<n>.jpg<TAB>text`. Upstream has
photos of the competition's tests as well, in folders without annotations; writers of different
folders may have the same number.
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
    """Yield every line in the archive's order; the writer is the folder of the photo.

    Outside `training_data` the part is in the id and in the writer's name.
    """
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
        part, photo = "/".join(parts[:-3]), f"{parts[-2]}/{parts[-1]}"
        writer = _prefix(part) + parts[-2]
        name = f"kalapa-{writer}-{Path(path).stem}"
        if part not in texts:
            yield Skipped(name, f"in a folder without annotations: {part}")
        elif photo in texts[part]:
            yield photo_line(name, content, texts[part].pop(photo), writer, "")
        else:
            yield Skipped(name, "image without a label")
    for part, photos in texts.items():
        for photo in photos:
            number = photo.removesuffix(".jpg").replace("/", "-")
            yield Skipped(f"kalapa-{_prefix(part)}{number}", "label without an image")


def _prefix(part: str) -> str:
    name = part.rpartition("/")[2]
    return "" if name == "training_data" else f"{name}-"


def _labels(archive: Path) -> dict[str, dict[str, str]]:
    """Return the text of each '<writer>/<n>.jpg', by the folder that holds `annotations`."""
    texts: dict[str, dict[str, str]] = {}
    for path, content in tar_members(archive, SOURCE.name, ".txt"):
        folder = Path(path).parent
        if folder.name == "annotations":
            for row in read_text(content, path, SOURCE.name).splitlines():
                photo, _, text = row.partition("\t")
                if photo.strip():
                    texts.setdefault(folder.parent.as_posix(), {})[photo.strip()] = text
    return texts
