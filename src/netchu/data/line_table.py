"""The line table: the format in which stages exchange handwriting.

A table is a folder of Parquet shards with the columns of `SCHEMA`, which pandas, DuckDB, Spark and
Ray can read. It also holds `skipped.csv`, the lines that were left out and why.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from netchu.core.errors import NetchuError
from netchu.core.files import new_file, new_folder
from netchu.core.spreadsheets import guard_formulas
from netchu.core.text import check_label

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
    columns = {name: [getattr(line, name) for line in lines] for name in SCHEMA.names}
    table = pa.table(columns, schema=schema)
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


def read_table(folder: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return all lines of a table in order.

    Args:
        folder: the table.
        columns: the columns to read; by default, all.

    Raises:
        NetchuError: the folder holds no shard, or a shard is damaged or lacks a column.
    """
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        raise NetchuError(f"{folder} holds no line table; run 'dvc repro' to make it")
    try:
        tables = [pq.read_table(s, columns=list(columns) if columns else None) for s in shards]
    except (pa.ArrowException, OSError) as error:
        raise NetchuError(f"{folder} is not a line table ({error}); remove it and run 'dvc repro'"
                          ) from None  # fmt: skip
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


def check_leaks(lines: pd.DataFrame) -> int:
    """Check that no writer and no image is in two splits; return the number of texts that are.

    A shared text is not a leak (two people may write the same address) but is worth reporting.

    Raises:
        NetchuError: a writer or an image is in two splits.
    """
    known = lines[lines["writer"] != ""]
    for name, keys in (("writer", known["writer"]), ("image", lines["image"].map(_digest))):
        splits = lines.loc[keys.index, "split"].groupby(keys).nunique()
        if not (leaks := splits[splits > 1]).empty:
            raise NetchuError(
                f"{name} {leaks.index[0]} is in {int(leaks.iloc[0])} splits "
                f"({len(leaks)} in total); split by writer and remove repeated images"
            )
    return int((lines.groupby("text")["split"].nunique() > 1).sum())


def _digest(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()
