"""Corrected readings, stored as a table `image,label` for `netchu train --csv`.

An image and then the table are written and flushed to the disk before a correction is acknowledged,
so a crash loses no acknowledged correction and leaves no half-written file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.files import new_file, remove_partial_files
from netchu.core.locks import exclusive_lock
from netchu.core.spreadsheets import guard_formulas
from netchu.core.text import normalise
from netchu.imaging.images import Grey, encode
from netchu.imaging.photos import read_photo
from netchu.imaging.polarity import with_dark_ink
from netchu.imaging.specks import without_specks
from netchu.inference.results import Box
from netchu.inference.segmentation.line_boxes import crop_line, find_lines

TABLE = "corrections.csv"
IMAGES = "images"
COLUMNS = ("image", "label")


class CorrectionStore:
    """A folder of corrections. Safe to share between threads, but not between processes."""

    def __init__(self, folder: Path, max_corrections: int, max_label_length: int) -> None:
        """Use `folder`; nothing is written before `open`."""
        self.folder = folder
        self.max_corrections = max_corrections
        self.max_label_length = max_label_length
        self._lock = threading.Lock()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Create the folder and lock it against other servers while the block runs.

        Raises:
            NetchuError: the folder cannot be written, or another server uses it.
        """
        try:
            (self.folder / IMAGES).mkdir(parents=True, exist_ok=True)
            with exclusive_lock(self.folder / TABLE):
                self._read_table()
                for folder in (self.folder, self.folder / IMAGES):
                    remove_partial_files(folder)
                yield
        except OSError as error:
            raise NetchuError(
                f"{self.folder} cannot be written ({error.strerror}); choose another --collect"
            ) from None

    def add(self, photo: bytes, box: Box | None, label: str, turns: int = 0) -> int:
        """Store a line with its label; a line that was corrected before gets the new label.

        Args:
            photo: the encoded photo.
            box: box of the line in the photo, as it was read; None is the whole photo.
            label: the text of the line.
            turns: `PhotoReading.turns` of the reading.

        Returns:
            The number of corrections in the folder.

        Raises:
            NetchuError: the photo cannot be read or has no line in `box`, the label is not a line
                of text, or the folder is full.
        """
        label = normalise(label)
        if not label or not label.isprintable() or len(label) > self.max_label_length:
            raise NetchuError(
                f"the label must be a line of 1 to {self.max_label_length} characters"
            )
        content = encode(_crop(with_dark_ink(read_photo(photo)), box, turns))
        name = f"{IMAGES}/{hashlib.sha256(content).hexdigest()[:32]}.png"
        with self._lock:
            columns, rows = self._read_table()
            if name not in rows and len(rows) >= self.max_corrections:
                raise NetchuError(
                    f"the folder is full with {self.max_corrections} corrections; train with them"
                )
            with new_file(self.folder / name, durable=True) as partial:
                partial.write_bytes(content)
            rows[name] = rows.get(name, {}) | {"image": name, "label": guard_formulas(label)}
            self._write_table(columns, rows)
            return len(rows)

    def _write_table(self, columns: list[str], rows: dict[str, dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
        with new_file(self.folder / TABLE, durable=True) as partial:
            partial.write_bytes(text.getvalue().encode())

    def _read_table(self) -> tuple[list[str], dict[str, dict[str, str]]]:
        """Return the columns, and the rows by image; users may edit the table between calls."""
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
            raise NetchuError(
                f"{table} is not a table of the columns image,label; "
                "repair it or choose another --collect"
            )
        return columns, {row["image"]: row for row in rows}


def _crop(photo_HW: Grey, box: Box | None, turns: int) -> Grey:
    """Return the crop of a line as the reader saw it, in the photo after `turns` quarter turns."""
    height, width = photo_HW.shape
    bounds, page_HW = box or (0, 0, width, height), photo_HW
    for _ in range(turns):
        left, top, right, bottom = bounds
        bounds = top, page_HW.shape[1] - right, bottom, page_HW.shape[1] - left
        page_HW = np.ascontiguousarray(np.rot90(page_HW))
    if bounds == (0, 0, *page_HW.shape[::-1]):
        return without_specks(page_HW)
    # The second segmentation runs only if the first has no such line.
    for found in chain.from_iterable(find_lines(page_HW, line) for line in (False, True)):
        if found.bounds == bounds:
            return crop_line(page_HW, found)
    raise NetchuError(
        f"the photo has no line in the box {list(box or bounds)} after {turns} quarter turns; send "
        "box and turns of a reading"
    )
