"""The output: a folder of Parquet shards with readings, and one with errors beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from netchu.core.errors import NetchuError
from netchu.core.files import new_file, remove_partial_files
from netchu.inference.results import PhotoReading

Row = dict[str, Any]
"""A row of one of the two tables; one with an `error` belongs to that of the errors."""

_BOX = pa.list_(pa.int32())
READINGS = pa.schema(
    {
        "path": pa.string(),
        "page": pa.int32(),
        "text": pa.string(),
        "confidence": pa.float32(),
        "lines": pa.list_(pa.string()),
        "confidences": pa.list_(pa.float32()),
        "boxes": pa.list_(_BOX),
        "unread": pa.list_(_BOX),
        "width": pa.int32(),
        "height": pa.int32(),
        "turns": pa.int32(),
        "model": pa.string(),
    }
)
ERRORS = pa.schema({"path": pa.string(), "page": pa.int32(), "error": pa.string()})

SHARD_ROWS = 1_000
SHARD_SECONDS = 60.0
"""A shard is written when it has so many rows, or when its first row is so old."""

_KEY = b"netchu"
"""Of the metadata of each shard: the settings of its readings."""

_OTHER_OUT = "name another --out"


def reading_row(path: str, page: int | None, reading: PhotoReading, model: str) -> Row:
    """Return the row of a page.

    Args:
        path: of the file.
        page: its number in a file of several pages, from 1.
        reading: what was read.
        model: hash of the model that has read it.
    """
    return {
        "path": path,
        "page": page,
        "text": reading.text,
        "confidence": reading.confidence,
        "lines": [line.text for line in reading.lines],
        "confidences": [line.confidence for line in reading.lines],
        "boxes": [list(line.box) for line in reading.lines],
        "unread": [list(box) for box in reading.unread],
        "width": reading.size[0],
        "height": reading.size[1],
        "turns": reading.turns,
        "model": model,
    }


def error_row(path: str, page: int | None, error: str) -> Row:
    """Return the row of a page, or of a file, that cannot be read."""
    return {"path": path, "page": page, "error": " ".join(error.split())}


class ReadingsTable:
    """Both tables, which one process writes.

    A shard of readings is written after the shard of errors of the same name, and commits both: one
    of errors alone is what a killed process left, and is removed.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        """Open the tables, or prepare to write new ones.

        Args:
            out: folder of the readings; the errors go to a folder beside it.
            settings: JSON values on which the readings depend.

        Raises:
            NetchuError: `out` holds something else, or readings with other settings.
        """
        self.out = out
        self.errors = out.with_name(f"{out.stem}.errors{out.suffix}")
        self.read_pages = self.failed_pages = 0
        self._metadata = {_KEY: json.dumps(dict(settings), sort_keys=True).encode()}
        self._rows: list[Row] = []
        self._begun = 0.0
        self._number = 0
        for folder in (self.out, self.errors):
            if folder.exists() and not folder.is_dir():
                raise NetchuError(f"{folder} is no folder, as a table of shards is; {_OTHER_OUT}")
            remove_partial_files(folder)
        for shard in _shards(self.out):
            self._check(shard)
            self.read_pages += pq.read_metadata(shard).num_rows
            self._number = int(shard.stem) + 1
        for shard in _shards(self.errors):
            if (self.out / shard.name).exists():
                self.failed_pages += pq.read_metadata(shard).num_rows
            else:
                shard.unlink()

    def files(self) -> Iterator[str]:
        """Yield the path of each row of both tables."""
        for shard in (*_shards(self.out), *_shards(self.errors)):
            yield from pq.read_table(shard, columns=["path"], partitioning=None)["path"].to_pylist()

    def add(self, rows: Iterable[Row]) -> None:
        """Add all rows of a file, or of several; those of one file are never divided.

        Raises:
            OSError: a shard cannot be written.
        """
        if not self._rows:
            self._begun = time.monotonic()
        self._rows += rows
        if len(self._rows) >= SHARD_ROWS or time.monotonic() - self._begun >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not in a shard yet.

        Raises:
            OSError: a shard cannot be written.
        """
        if not self._rows:
            return
        errors = [row for row in self._rows if "error" in row]
        readings = [row for row in self._rows if "error" not in row]
        name = f"{self._number:06}.parquet"
        if errors:
            self._write(errors, ERRORS, self.errors / name)
        self._write(readings, READINGS, self.out / name)
        self._rows = []
        self._number += 1
        self.read_pages += len(readings)
        self.failed_pages += len(errors)

    def _write(self, rows: list[Row], schema: pa.Schema, path: Path) -> None:
        table = pa.Table.from_pylist(rows, schema.with_metadata(self._metadata))
        with new_file(path, durable=True) as partial:
            pq.write_table(table, partial, compression="zstd")

    def _check(self, shard: Path) -> None:
        try:
            metadata = pq.read_schema(shard).metadata or {}
        except (pa.ArrowException, OSError):
            raise NetchuError(f"{shard} is damaged; remove it and run again") from None
        if _KEY not in metadata or not shard.stem.isdigit():
            raise NetchuError(f"{shard} was not written by netchu read; {_OTHER_OUT}")
        if metadata[_KEY] != self._metadata[_KEY]:
            raise NetchuError(
                f"{self.out} was read by another model, or with other options; {_OTHER_OUT}"
            )


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))
