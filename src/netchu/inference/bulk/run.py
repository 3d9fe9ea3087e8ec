"""Read files into tables: what was read before is left out, and what is read is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.locks import exclusive_lock
from netchu.inference.bulk.file_reader import FileReader, ReadOptions
from netchu.inference.bulk.scheduling import read_files
from netchu.inference.bulk.tables import ReadingsTable, error_row
from netchu.inference.bulk.workers import LocalPool, Pool, RayPool
from netchu.inference.bulk.worklist import Worklist

EXECUTORS: dict[str, Callable[[ReadOptions], Pool]] = {"local": LocalPool, "ray": RayPool}

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Called with the number of files; the function that it gives is called with how many are done."""


def read_into_tables(
    sources: Sequence[str],
    out: Path,
    options: ReadOptions,
    executor: str,
    workers: int | None,
    progress: Progress,
) -> ReadingsTable:
    """Read the files that are not in the tables yet.

    However the process ends, each file is in the tables once or not at all, and the next run reads
    those that are not. Memory does not depend on the number of files.

    Args:
        sources: as for `Worklist`.
        out: folder of the table of readings; that of the errors is beside it.
        options: how files are read.
        executor: a key of `EXECUTORS`.
        workers: processes that read; None for one on each core.
        progress: shows how far it is.

    Returns:
        The tables, with the numbers of pages that were read and could not be read, in all runs.

    Raises:
        NetchuError: a source does not exist, all are empty, `out` holds something else, another
            process writes it, or a worker has failed (see `read_files`).
        OSError: the disk is full or cannot be written.
    """
    model = FileReader(options).model_hash  # an error before anything is listed
    settings = {"model": model, "line": options.line, "greedy": options.greedy}
    with exclusive_lock(out):
        table = ReadingsTable(out, settings)
        files = Worklist(table.files(), sources)
        if not len(files) and not table.read_pages + table.failed_pages:
            raise NetchuError(f"{', '.join(sources)}: no image in there; name a folder with images")
        if len(files):
            pool = EXECUTORS[executor](options)
            _read_missing(files, table, pool, options, model, workers, progress)
    return table


def _read_missing(
    files: Worklist,
    table: ReadingsTable,
    pool: Pool,
    options: ReadOptions,
    model: str,
    workers: int | None,
    progress: Progress,
) -> None:
    number = len(files)
    workers = min(workers or pool.cores, number)
    size = max(1, min(options.batch, number // workers))  # something for each worker
    with closing(pool), progress(number) as advance:
        try:
            for path, reason in files.refused():
                table.add([error_row(path, None, f"{path}: {reason}")])
                advance(1)
            for read in read_files(files.files(), pool, workers, size, model):
                table.add(read.rows)
                advance(read.files)
        finally:
            table.flush()  # also when it was stopped
