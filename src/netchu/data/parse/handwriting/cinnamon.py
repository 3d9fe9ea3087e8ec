"""Cinnamon AI's address lines, scanned; the writers are unknown. Research data.

The archive holds two folders of images, each with a JSON {file: text}: `0916_Data Samples 2` and
`1015_Private Test` with `labels.json`, or, in the upstream copy, `Train` and `Test` with
`labels_train.json` and `labels_test.json`. The second of the two is the official test.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.data.archives import read_labels, tar_members
from netchu.data.fetch.cinnamon import SOURCE
from netchu.data.line_table import Line, Skipped
from netchu.data.parse.photo_lines import photo_line

PARTS = {
    "0916_Data Samples 2": ("0916", ""),
    "1015_Private Test": ("1015", "test"),
    "Train": ("0916", ""),
    "Test": ("1015", "test"),
}
"""Folder -> name of the part in ids, and official split ('' leaves it to preprocessing). Lines have
the same ids in both layouts."""


def parse(folder: Path, levels: Collection[str] = ("line",)) -> Iterator[Line | Skipped]:
    """Yield every scanned line in the archive's order; the writer is ''."""
    if "line" not in levels:
        return
    archive = folder / SOURCE.file
    texts = _labels(archive)
    if not texts:
        raise NetchuError(f"cinnamon: {SOURCE.file} holds no labels*.json; download it again")
    for path, content in tar_members(archive, SOURCE.name):
        part, file = Path(path).parent.name, Path(path).name
        if part not in PARTS or Path(path).suffix not in (".jpg", ".png"):
            continue
        short, split = PARTS[part]
        name = f"cinnamon-{short}-{Path(path).stem}"
        if (part, file) in texts:
            yield photo_line(name, content, texts.pop((part, file)), "", split)
        else:
            yield Skipped(name, "image without a label")
    for part, file in texts:
        yield Skipped(f"cinnamon-{PARTS[part][0]}-{Path(file).stem}", "label without an image")


def _labels(archive: Path) -> dict[tuple[str, str], str]:
    """Return the text of each (folder, file).

    Upstream, the labels may be beside the folder that they describe.
    """
    texts: dict[tuple[str, str], str] = {}
    for path, content in tar_members(archive, SOURCE.name, ".json"):
        stem, part = Path(path).stem, Path(path).parent.name
        if not stem.startswith("labels"):
            continue
        if part not in PARTS:
            part = stem.removeprefix("labels_").capitalize()
        labels = read_labels(content, path, SOURCE.name)
        texts |= {(part, Path(file).name): text for file, text in labels.items()}
    return texts
