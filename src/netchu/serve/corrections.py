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
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.files import new_file, remove_partial_files
from netchu.core.locks import exclusive_lock
from netchu.core.spreadsheets import guard_formulas
from netchu.core.text import normalise

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

    def normalise_label(self, label: str) -> str:
        """Return a label in NFC.

        Raises:
            NetchuError: it is not a line of text.
        """
        label = normalise(label)
        if not label or not label.isprintable() or len(label) > self.max_label_length:
            raise NetchuError(
                f"the label must be a line of 1 to {self.max_label_length} characters"
            )
        return label

    def add(self, crop: bytes, label: str) -> int:
        """Store a line with its label; a line that was corrected before gets the new label.

        Args:
            crop: the line, see `crops.encode_crop`.
            label: the text of the line, from `normalise_label`.

        Returns:
            The number of corrections in the folder.

        Raises:
            NetchuError: the folder is full.
            OSError: the disk is, or cannot be written; nothing has changed then.
        """
        name = f"{IMAGES}/{hashlib.sha256(crop).hexdigest()[:32]}.png"
        with self._lock:
            columns, rows = self._read_table()
            if name not in rows and len(rows) >= self.max_corrections:
                raise NetchuError(
                    f"the folder is full with {self.max_corrections} corrections; train with them"
                )
            image = self.folder / name
            is_new = not image.exists()
            rows[name] = rows.get(name, {}) | {"image": name, "label": guard_formulas(label)}
            try:
                with new_file(image, durable=True) as partial:
                    partial.write_bytes(crop)
                self._write_table(columns, rows)
            except OSError:
                if is_new:
                    image.unlink(missing_ok=True)
                raise
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
