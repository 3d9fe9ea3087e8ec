"""`netchu read --out NAME.parquet`: many files into a table, on all cores or a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path

from netchu.cli.progress import progress
from netchu.core.errors import needs_extra, one_line_errors

TABLE_SUFFIX = ".parquet"

STOPPED = "stopped; the same command reads what is left"


class Executor(StrEnum):
    """What runs the workers."""

    local = "local"
    ray = "ray"


def read_into_table(
    paths: Sequence[str],
    out: Path,
    executor: Executor,
    workers: int | None,
    *,
    model: Path | None,
    greedy: bool,
    line: bool,
    batch: int,
) -> None:
    """Read files into tables, and print how many pages they hold.

    Raises:
        SystemExit: with the exit codes of `netchu read`, which are about all pages of the tables.
    """
    with needs_extra("parquet", f"--out {out}"):
        from netchu.inference.bulk.file_reader import ReadOptions
        from netchu.inference.bulk.run import read_into_tables
    options = ReadOptions(model and model.absolute(), greedy, line, batch)
    # Ray prints to stdout when it loses a worker.
    with one_line_errors(STOPPED), redirect_stdout(sys.stderr):
        table = read_into_tables(paths, out, options, executor, workers, progress)
    failed = f"; {table.failed_pages} not, see {table.errors}" if table.failed_pages else ""
    print(f"{table.out}: {table.read_pages} pages were read{failed}")
    if table.failed_pages:
        raise SystemExit(1 if table.read_pages else 2)
