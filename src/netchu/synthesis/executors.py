"""Generate the shards of a synthetic table with local processes or on a Ray cluster.

Either way `generate_shard` does the work and each shard is a file, so finished shards survive when
a process dies, and their bytes do not depend on which process wrote them.
"""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2

from netchu.core.errors import NetchuError, needs_extra
from netchu.core.params import SynthesisParams
from netchu.core.processes import exit_with_parent
from netchu.core.ray_cluster import connect_to_ray
from netchu.data.line_table import Line, Skipped, shard_name, write_shard
from netchu.synthesis.base import LineGenerator


@dataclass(frozen=True)
class Shard:
    """The line numbers from `start` to `stop` - 1, and the number of their file."""

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> str:
        """File name of the shard."""
        return shard_name(self.number)


def generate_shard(generator: LineGenerator, shard: Shard, folder: Path) -> None:
    """Generate the lines of `shard` into its file in `folder`.

    The file's metadata holds the skipped lines and the counts of `GeneratedLine.word_sources`.

    Raises:
        NetchuError: the disk is full.
    """
    cv2.setNumThreads(1)  # each core runs a process of its own
    lines: list[Line] = []
    skipped: list[tuple[str, str]] = []
    word_sources: dict[str, int] = {}
    for index in range(shard.start, shard.stop):
        generated = generator.generate(index)
        if isinstance(generated.line, Skipped):
            skipped.append((generated.line.id, generated.line.reason))
        else:
            lines.append(generated.line)
        for source, words in generated.word_sources.items():
            word_sources[source] = word_sources.get(source, 0) + words
    with report_full_disk(folder):
        write_shard(lines, folder / shard.name, {"skipped": skipped, "ways": word_sources})


def generate_shards(
    generator: LineGenerator, shards: Sequence[Shard], folder: Path, params: SynthesisParams
) -> Iterator[Shard]:
    """Generate `shards` into `folder`; yield each, in any order, once its file is written.

    Raises:
        NetchuError: `synthesis.workers` is below 1, the disk is full, a process died, Ray is not
            installed, or the cluster does not answer.
    """
    if params.workers < 1:
        raise NetchuError(f"synthesis.workers is {params.workers}; set it to 1 or more")
    if not shards:
        return
    if params.executor == "ray":
        yield from _generate_on_ray(generator, shards, folder, params)
    elif params.workers == 1:
        for shard in shards:
            generate_shard(generator, shard, folder)
            yield shard
    else:
        yield from _generate_in_processes(generator, shards, folder, params.workers)


@contextmanager
def report_full_disk(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk, or an exceeded quota, into a `NetchuError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NetchuError(
            f"no space left on the disk of {folder}; free some and run again: finished shards are "
            "kept"
        ) from None


def _generate_in_processes(
    generator: LineGenerator, shards: Sequence[Shard], folder: Path, workers: int
) -> Iterator[Shard]:
    """Send one shard after another to each process through its own pipe.

    Pipes report the death of either side. The pools of the standard library do not: one waits
    forever for a dead worker, and the workers of the other wait forever for a dead parent.
    """
    waiting = deque(shards)
    pool = [_start_worker() for _ in range(min(workers, len(shards)))]
    busy: dict[Connection, Shard] = {}
    try:
        for _, worker in pool:
            busy[worker] = waiting.popleft()
            _send(worker, (generator, folder))
            _send(worker, busy[worker])
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                shard = busy.pop(ready)
                _receive(ready, shard)
                if waiting:
                    busy[ready] = waiting.popleft()
                    _send(ready, busy[ready])
                yield shard
    finally:
        for process, _ in pool:
            process.kill()
            process.join()


def _start_worker() -> tuple[BaseProcess, Connection]:
    """Start a process that waits for a generator and shards; return it and the pipe to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_worker, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _send(worker: Connection, message: object) -> None:
    with suppress(ConnectionError):  # the next `_receive` reports that the worker died
        worker.send(message)


def _receive(worker: Connection, shard: Shard) -> None:
    """Wait for a worker to finish its shard; raise the worker's exception if there was one."""
    try:
        problem = worker.recv()
    except (EOFError, ConnectionError):
        raise NetchuError(
            f"the process that generated lines {shard.start} to {shard.stop - 1} died (out of "
            "memory?); run again, with fewer synthesis.workers if need be: finished shards are kept"
        ) from None
    if problem is not None:
        raise problem


def _run_worker(parent: Connection) -> None:
    """Generate the shards that `parent` sends, until it closes the pipe or dies."""
    exit_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends its workers
    with suppress(EOFError, ConnectionError):
        generator, folder = parent.recv()
        while True:
            parent.send(_try_to_generate(generator, parent.recv(), folder))


def _try_to_generate(generator: LineGenerator, shard: Shard, folder: Path) -> Exception | None:
    try:
        generate_shard(generator, shard, folder)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return error
    return None


class _RayWorker:
    """Generates shards; Ray creates one instance in each of its worker processes."""

    def __init__(self, generator: LineGenerator, project: Path, folder: Path) -> None:
        os.chdir(project)  # paths are relative to the project
        self.generator, self.folder = generator, folder

    def __call__(self, row: dict[str, int]) -> dict[str, Any]:
        try:
            generate_shard(self.generator, Shard(**row), self.folder)
        except NetchuError as error:
            return {"shard": row, "problem": str(error)}
        return {"shard": row, "problem": ""}


def _generate_on_ray(
    generator: LineGenerator, shards: Sequence[Shard], folder: Path, params: SynthesisParams
) -> Iterator[Shard]:
    """Make a Ray Data block of each shard, and a pool of actors that generate them.

    Ray restarts a dead actor and repeats its shards. All machines must see the project under the
    same path.
    """
    executor = "synthesis.executor: ray"
    remedy = "set synthesis.address to the host:port of one, or synthesis.executor to local"
    ray = connect_to_ray(executor, params.address, remedy)
    try:
        with needs_extra("cluster", executor):
            from ray import data
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        data.DataContext.get_current().enable_progress_bars = False
        blocks = data.from_items([asdict(s) for s in shards], override_num_blocks=len(shards))
        generated = blocks.map(
            _RayWorker,
            fn_constructor_args=(generator, Path.cwd(), folder),
            # With one task per actor no shard waits behind a slow worker.
            compute=data.ActorPoolStrategy(size=params.workers, max_tasks_in_flight_per_actor=1),
        )
        for row in generated.iter_rows():
            if row["problem"]:
                raise NetchuError(row["problem"])
            yield Shard(**row["shard"])
    finally:
        ray.shutdown()
