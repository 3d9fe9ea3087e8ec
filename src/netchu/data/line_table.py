"""The line table: the one format in which handwriting travels between stages.

A table is a folder of Parquet shards with the columns of `SCHEMA`; pandas, DuckDB, Spark and Ray
read it as it is. Beside the shards lies `skipped.csv`, the lines that were left out, each with
its reason.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from netchu.core.errors import NetchuError
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
_NOTES = b"netchu"
"""The key of a shard's metadata under which its notes lie."""


@dataclass(frozen=True)
class Line:
    """One image of handwriting with its text.

    `image` is an encoded grey PNG, JPEG or WebP; `width` and `height` are its pixels; `text` is
    NFC; `writer` may be '' where nobody knows the hand; `split` is '' until preprocessing.
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
    """A line that was left out, and why."""

    id: str
    reason: str


def write_table(lines: Iterable[Line], folder: Path, skipped: Iterable[Skipped] = ()) -> int:
    """Write `lines` as Parquet shards into a fresh `folder`; return how many there were.

    The folder appears whole or not at all: shards are written beside it and renamed at the end.
    `skipped` is read after `lines` is exhausted, so a generator may fill it on the way.
    """
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    waiting: list[Line] = []
    count, number = 0, 0
    for line in lines:
        waiting.append(line)
        count += 1
        if len(waiting) == SHARD_LINES:
            write_shard(waiting, partial / shard_name(number))
            waiting, number = [], number + 1
    if waiting or number == 0:
        write_shard(waiting, partial / shard_name(number))
    write_skipped(skipped, partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return count


def shard_name(number: int) -> str:
    """File name of a table's shard; names sort as numbers do."""
    return f"{number:05d}.parquet"


def write_shard(lines: Sequence[Line], path: Path, notes: Mapping[str, Any] | None = None) -> None:
    """Write one shard of a table; the file appears whole or not at all, after a power cut too.

    `notes` (plain values) lie in the file's metadata, where `read_notes` finds them. Several
    processes may write the same shard at once: each has a passing name of its own.
    """
    for line in lines:
        check_label(line.text, f"{line.source} line {line.id}")
    schema = SCHEMA
    if notes is not None:
        schema = SCHEMA.with_metadata({_NOTES: json.dumps(notes, sort_keys=True).encode()})
    columns = {name: [getattr(line, name) for line in lines] for name in SCHEMA.names}
    table = pa.table(columns, schema=schema)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with partial.open("xb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def read_notes(path: Path) -> dict[str, Any]:
    """The notes that `write_shard` left in a shard; raises what pyarrow does where it is none."""
    notes: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_NOTES])
    return notes


def write_skipped(skipped: Iterable[Skipped], folder: Path) -> None:
    """Write `skipped.csv` (id, reason), also when it is empty: no file would mean no answer."""
    with (folder / "skipped.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "reason"])
        writer.writerows((line.id, line.reason) for line in skipped)


def read_skipped(folder: Path) -> list[Skipped]:
    """The lines left out of the table or model in `folder`."""
    with (folder / "skipped.csv").open(newline="", encoding="utf-8") as file:
        return [Skipped(row["id"], row["reason"]) for row in csv.DictReader(file)]


def read_table(folder: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """All lines of a table, in shard order.

    Raises:
        NetchuError: the folder holds no shard, or a shard is not a line table.
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
    """Fail where a writer or an image stands in two splits; return how many texts do.

    A shared text is no leak (two people may write the same address) but is worth reporting.
    """
    known = lines[lines["writer"] != ""]
    for name, keys in (("writer", known["writer"]), ("image", lines["image"].map(_digest))):
        sides = lines.loc[keys.index, "split"].groupby(keys).nunique()
        if not (leaks := sides[sides > 1]).empty:
            raise NetchuError(
                f"{name} {leaks.index[0]} stands in {int(leaks.iloc[0])} splits "
                f"({len(leaks)} such); split by writer, and drop repeated images"
            )
    return int((lines.groupby("text")["split"].nunique() > 1).sum())


def _digest(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()
