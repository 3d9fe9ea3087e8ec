"""Corrected readings, kept as a table `image,label` that `netchu train --csv` learns from.

What is acknowledged is on disk: an image is written under a passing name, forced out and renamed,
then the table likewise, so that at no moment there is half of either.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.locks import exclusive_lock
from netchu.core.text import normalise
from netchu.imaging.images import Grey, encode
from netchu.imaging.photos import read_photo
from netchu.inference.results import Box
from netchu.inference.segmentation.line_boxes import crop_line, find_lines

TABLE = "corrections.csv"
IMAGES = "images"
COLUMNS = ("image", "label")

_FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠|%])")
"""Where a spreadsheet would begin to calculate, be its separator a comma or a semicolon."""

_GUARD = "\u200b"
"""Of no width and no meaning: a spreadsheet shows text behind it, and `normalise` takes it away."""


class Corrections:
    """A folder of corrections. Threads may share it; of processes it belongs to one."""

    def __init__(self, folder: Path, most: int, longest: int) -> None:
        """Corrections in `folder`: at most `most`, with labels of at most `longest` characters."""
        self.folder = folder
        self.most = most
        self.longest = longest
        self._lock = threading.Lock()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Within, the folder is there and no other server fills it.

        Raises:
            NetchuError: it cannot be written, or another server fills it.
        """
        try:
            (self.folder / IMAGES).mkdir(parents=True, exist_ok=True)
            with exclusive_lock(self.folder / TABLE):
                self._read()
                yield
        except OSError as error:
            raise NetchuError(
                f"{self.folder} cannot be written ({error.strerror}); name another to collect in"
            ) from None

    def keep(self, photo: bytes, box: Box | None, label: str) -> int:
        """Keep what stands in `box` of the photo, all of it where that is None; return how many.

        A line that was corrected before gets the new label.

        Raises:
            NetchuError: the photo is none, has no line there, the label is no text, or the folder
                is full.
        """
        label = normalise(label)
        if not label or not label.isprintable() or len(label) > self.longest:
            raise NetchuError(f"the label must be a line of 1 to {self.longest} characters")
        content = encode(_line(read_photo(photo), box))
        name = f"{IMAGES}/{hashlib.sha256(content).hexdigest()[:32]}.png"
        with self._lock:
            columns, rows = self._read()
            if name not in rows and len(rows) >= self.most:
                raise NetchuError(f"{self.most} corrections are kept already; train with them")
            _write(self.folder / name, content)
            guarded = _FORMULA.sub(rf"\1{_GUARD}", label)
            rows[name] = rows.get(name, {}) | {"image": name, "label": guarded}
            block = io.StringIO()
            writer = csv.DictWriter(block, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
            _write(self.folder / TABLE, block.getvalue().encode())
            return len(rows)

    def _read(self) -> tuple[list[str], dict[str, dict[str, str]]]:
        """Columns, and rows by image: read anew each time, for people may edit the table."""
        table = self.folder / TABLE
        try:
            with table.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file, strict=True)
                rows = list(reader)
                columns = list(reader.fieldnames or ())
        except FileNotFoundError:
            return [*COLUMNS], {}
        except (csv.Error, UnicodeDecodeError):
            rows, columns = [], []
        if not {*COLUMNS} <= {*columns} or any(None in row for row in rows):
            raise NetchuError(f"{table} is no table image,label; mend it or collect elsewhere")
        return columns, {row["image"]: row for row in rows}


def _line(photo_HW: Grey, box: Box | None) -> Grey:
    """The crop that the reader saw of the line in `box`, be the photo upright or upside down."""
    height, width = photo_HW.shape
    if box is None or box == (0, 0, width, height):
        return photo_HW
    left, top, right, bottom = box
    turned = (width - right, height - bottom, width - left, height - top)
    for page_HW, wanted in ((photo_HW, box), (photo_HW[::-1, ::-1], turned)):
        page_HW = np.ascontiguousarray(page_HW)
        for line in find_lines(page_HW):
            if (line.left, line.top, line.right, line.bottom) == wanted:
                return crop_line(page_HW, line)
    raise NetchuError(f"the photo has no line in the box {list(box)}; give one that was read")


def _write(path: Path, content: bytes) -> None:
    """Give a file its content: on the disk, and whole or not at all, whenever the power fails."""
    passing = path.with_name(f"{path.name}.new")
    with passing.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    passing.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or the name may be lost
    finally:
        os.close(folder)
