"""The line table: the format in which stages exchange handwriting.

A table is a folder of Parquet shards with the columns of `SCHEMA`, which pandas, DuckDB, Spark and
Ray can read. It also holds `skipped.csv`, the lines that were left out and why.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from netchu.core.errors import NetchuError
from netchu.core.files import new_file, new_folder
from netchu.core.spreadsheets import guard_formulas
from netchu.core.text import check_label
from netchu.data.stored_frames import (
    STRING,
    frame_parts,
    groups_by_key,
    store_frames,
    store_strings,
)
from netchu.data.stored_images import ImageFile, StoredImages

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.binary()),
        ("text", pa.string()),
        ("writer", pa.string()),
        ("source", pa.string()),
        ("level", pa.string()),
        ("split", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)
SPLITS = ("train", "val", "test")
LEVELS = ("word", "line", "paragraph")
SHARD_LINES = 2000
_METADATA_KEY = b"netchu"
"""Key of the metadata of a shard in its Parquet schema."""


@dataclass(frozen=True)
class Line:
    """One image of handwriting and its text.

    Attributes:
        id: unique in the table.
        image: a grey PNG, JPEG or WebP, encoded.
        text: the label, NFC.
        writer: '' if unknown.
        source: name of the data source.
        level: word, line or paragraph.
        split: train, val or test; '' before preprocessing.
        width: of the image, in pixels.
        height: of the image, in pixels.
    """

    id: str
    image: bytes
    text: str
    writer: str
    source: str
    level: str
    split: str
    width: int
    height: int


@dataclass(frozen=True)
class Skipped:
    """A line that was left out, and the reason."""

    id: str
    reason: str


def write_table(lines: Iterable[Line], folder: Path, skipped: Iterable[Skipped] = ()) -> int:
    """Write a table, completely or not at all, and return the number of lines.

    Args:
        lines: the lines, in order.
        folder: the folder to create or replace.
        skipped: the lines left out. It is read after `lines` is exhausted, so a generator of lines
            may fill it.

    Raises:
        NetchuError: a text is not a valid label.
    """
    shard: list[Line] = []
    count, number = 0, 0
    with new_folder(folder) as partial:
        for line in lines:
            shard.append(line)
            count += 1
            if len(shard) == SHARD_LINES:
                write_shard(shard, partial / shard_name(number))
                shard, number = [], number + 1
        if shard or number == 0:
            write_shard(shard, partial / shard_name(number))
        write_skipped(skipped, partial)
    return count


def shard_name(number: int) -> str:
    """Return the file name of a shard; names sort like numbers."""
    return f"{number:05d}.parquet"


def write_shard(
    lines: Sequence[Line], path: Path, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write one shard of a table, completely or not at all, even if the power fails.

    Several processes may write the same shard at the same time.

    Args:
        lines: the lines, in order.
        path: the file to create or replace.
        metadata: JSON values to store in the file, for `read_shard_metadata`.

    Raises:
        NetchuError: a text is not a valid label.
    """
    for line in lines:
        check_label(line.text, f"{line.source} line {line.id}")
    schema = SCHEMA
    if metadata is not None:
        schema = SCHEMA.with_metadata(
            {_METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()}
        )
    table = as_arrow(lines, schema)
    with new_file(path, durable=True) as partial, partial.open("xb") as file:
        pq.write_table(table, file, compression="zstd")


def read_shard_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata that `write_shard` stored in a shard.

    Raises:
        OSError: the file is missing.
        pyarrow.ArrowException: the file is not Parquet.
        KeyError: the shard was written without metadata.
    """
    metadata: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_METADATA_KEY])
    return metadata


def write_skipped(skipped: Iterable[Skipped], folder: Path) -> None:
    """Write `skipped.csv` (id, reason), also if no line was left out."""
    with (folder / "skipped.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "reason"])
        writer.writerows(map(guard_formulas, (line.id, line.reason)) for line in skipped)


def read_skipped(folder: Path) -> list[Skipped]:
    """Return the lines left out of the table, or of the training of the model, in `folder`."""
    with (folder / "skipped.csv").open(newline="", encoding="utf-8") as file:
        return [Skipped(row["id"], row["reason"]) for row in csv.DictReader(file)]


def read_table(
    folder: Path,
    columns: Sequence[str] = SCHEMA.names,
    where: Mapping[str, Collection[str]] | None = None,
) -> pd.DataFrame:
    """Return lines of a table in order.

    The frame is on disk, see `stored_frames`: its columns, and the images, which are read when they
    are asked for, are written to files of this process.

    Args:
        folder: the table.
        columns: the columns to read; by default, all.
        where: by column, the values that lines may have; by default, all lines are returned.

    Raises:
        NetchuError: the folder holds no shard, or a shard is damaged or lacks a column.
    """
    where = where or {}
    parts = _read_in_parts(folder, [*dict.fromkeys([*columns, *where])])
    return as_frame((_filter(part, where).select(columns) for part in parts), columns)


def _filter(table: pa.Table, where: Mapping[str, Collection[str]]) -> pa.Table:
    for name, values in where.items():
        table = table.filter(pc.is_in(table[name], pa.array(sorted(values), pa.string())))
    return table


def as_frame(parts: Iterable[pa.Table], columns: Sequence[str] = SCHEMA.names) -> pd.DataFrame:
    """Return the parts of a table as one frame on disk.

    Args:
        parts: tables with `columns` in this order, of the types in `SCHEMA`.
        columns: names of the columns.
    """
    file = ImageFile() if "image" in columns else None
    empty = pa.schema([SCHEMA.field(name) for name in columns]).empty_table()
    return store_frames(_with_images_in(file, table) for table in chain([empty], parts))


def _with_images_in(file: ImageFile | None, table: pa.Table) -> pd.DataFrame:
    """Return a table as a frame, whose images are appended to `file`."""
    others = table.drop_columns(["image"]) if file else table
    frame: pd.DataFrame = others.to_pandas(types_mapper={pa.string(): STRING}.get)
    if file:
        places = file.append(table["image"].cast(pa.large_binary()).combine_chunks())
        images = pd.Series(StoredImages((file,), places))
        frame.insert(table.column_names.index("image"), "image", images)
    return frame


def as_arrow(lines: Sequence[Line], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Return lines as an Arrow table."""
    columns = {name: [getattr(line, name) for line in lines] for name in schema.names}
    return pa.table(columns, schema=schema)


def iterate_table(folder: Path) -> Iterator[Line]:
    """Yield the lines of a table in order, with at most `SHARD_LINES` of them in memory.

    Raises:
        NetchuError: the folder holds no shard, or a shard is damaged or lacks a column.
    """
    for table in _read_in_parts(folder, SCHEMA.names):
        for row in table.to_pylist():
            yield Line(**row)


def _read_in_parts(folder: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield at most `SHARD_LINES` lines at a time, of the types in `SCHEMA`."""
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        raise NetchuError(f"{folder} holds no line table; run 'dvc repro' to make it")
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    try:
        for shard in shards:
            with pq.ParquetFile(shard) as file:
                if missing := sorted(set(columns) - set(file.schema_arrow.names)):
                    raise pa.ArrowInvalid(f"{shard.name} has no column {missing[0]}")
                for batch in file.iter_batches(SHARD_LINES, columns=list(columns)):
                    yield pa.Table.from_batches([batch]).select(columns).cast(schema)
    except (pa.ArrowException, OSError) as error:
        raise NetchuError(f"{folder} is not a line table ({error}); remove it and run 'dvc repro'"
                          ) from None  # fmt: skip


def check_leaks(lines: pd.DataFrame) -> int:
    """Check that no writer and no image is in two splits; return the number of texts that are.

    A shared text is not a leak (two people may write the same address) but is worth reporting.

    Args:
        lines: rows of a line table. An optional column `digest` holds the digests of their images.

    Raises:
        NetchuError: a writer or an image is in two splits.
    """
    if "digest" not in lines:
        lines = lines.assign(digest=image_digests(lines))
    for name, key in (("writer", "writer"), ("image", "digest")):
        counts = pd.concat([found[found > 1] for found in _splits_by(lines, key)])
        if not (leaks := counts.drop("", errors="ignore").sort_index()).empty:
            raise NetchuError(
                f"{name} {leaks.index[0]} is in {int(leaks.iloc[0])} splits "
                f"({len(leaks)} in total); split by writer and remove repeated images"
            )
    return sum(int((found > 1).sum()) for found in _splits_by(lines, "text"))


def _splits_by(lines: pd.DataFrame, key: str) -> Iterator[pd.Series[Any]]:
    """Yield, for some values of column `key` at a time, the number of splits of each."""
    for group in groups_by_key(lines[[key, "split"]], key):
        yield group.groupby(key)["split"].nunique()


def image_digests(lines: pd.DataFrame) -> Any:
    """Return 16 bytes of the SHA-256 of each image, in hexadecimal, as a column on disk.

    Of ten billion images two that differ have the same with a probability of 10⁻¹⁹.
    """
    return store_strings(
        [hashlib.sha256(image).hexdigest()[:32] for image in part["image"]]
        for part in frame_parts(lines)
    )
