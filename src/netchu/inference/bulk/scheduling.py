"""Which worker reads which files, and what happens to the files of a worker that dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from netchu.core.errors import NetchuError
from netchu.inference.bulk.tables import Row, error_row
from netchu.inference.bulk.workers import Answer, Death, Pool
from netchu.inference.bulk.worklist import MissingPackageError

MAX_TRIES = 3
"""A file is an error after so many workers have failed with it, alone or among others."""

SPARE_DEATHS = 10
"""So many workers, and three times the pool, may die in a row: a machine that is lost takes all of
its workers with it."""


@dataclass(frozen=True)
class _Chunk:
    """Files that are sent together, and how often this has failed."""

    files: tuple[str, ...]
    failures: int = 0


@dataclass(frozen=True)
class ChunkResult:
    """The rows of a number of files."""

    rows: list[Row]
    files: int


def read_files(
    files: Iterator[str], pool: Pool, workers: int, size: int, model_hash: str
) -> Iterator[ChunkResult]:
    """Read each file once; yield the rows of some files, in any order, as soon as they are read.

    The files of a worker that dies or raises are read again, one by one. Neither the files nor
    their rows are held: a worker is sent new ones when it has answered.

    Args:
        files: paths and addresses.
        pool: in which the workers are started, and those that died replaced.
        workers: how many.
        size: files that are sent to a worker at a time.
        model_hash: of the model that the workers must have.

    Raises:
        NetchuError: the model cannot be loaded, all workers die, or the package is missing that
            reads an address.
    """
    again: deque[_Chunk] = deque()
    busy: dict[int, _Chunk] = {}
    idle: list[int] = []
    deaths = 0
    for _ in range(workers):
        pool.start()
    while True:
        while idle and (chunk := _next_chunk(again, files, size)):
            busy[worker := idle.pop()] = chunk
            pool.send(worker, chunk.files)
        if not busy and idle:
            return
        worker, answer = pool.wait()
        sent = busy.pop(worker, None)
        if isinstance(answer, Death):
            deaths += 1
            if deaths > SPARE_DEATHS + 3 * workers:
                raise NetchuError(
                    f"{deaths} workers died in a row ({answer.reason}); run again with fewer "
                    "--workers, if memory is short: what was read is kept"
                )
            pool.start()
        else:
            idle.append(worker)
        if sent is None:
            _check_model(answer, model_hash)
        elif isinstance(answer, MissingPackageError):
            raise answer
        elif isinstance(answer, list):
            deaths = 0
            yield ChunkResult(answer, len(sent.files))
        elif sent.failures + 1 == MAX_TRIES:
            (path,) = sent.files
            yield ChunkResult([error_row(path, None, _reason(path, answer))], 1)
        else:
            again.extend(_Chunk((path,), sent.failures + 1) for path in sent.files)


def _next_chunk(again: deque[_Chunk], files: Iterator[str], size: int) -> _Chunk | None:
    if again:
        return again.popleft()
    chunk = tuple(islice(files, size))
    return _Chunk(chunk) if chunk else None


def _check_model(answer: Answer, expected: str) -> None:
    """Raise an error if a worker that was started has not loaded the expected model."""
    if isinstance(answer, Exception):
        raise answer
    if not isinstance(answer, Death) and answer != expected:
        raise NetchuError(
            "a worker has loaded another model than this process; install the same netchu, and "
            "copy the same --model, on all machines"
        )


def _reason(path: str, answer: Answer) -> str:
    if isinstance(answer, Death):
        return (
            f"{path}: the process that read it died each time, as of a damaged image or too little "
            "memory; save it anew, or use fewer --workers"
        )
    return f"{path}: unexpected {type(answer).__name__} ({answer}); save it as PNG, or report it"
