"""Who draws the shards of a synthetic table: processes of this machine, or a Ray cluster.

Either way `draw_shard` does the work and each shard is a file, so whoever dies, the finished ones
are there, and their bytes do not depend on who drew them.
"""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import signal
import socket
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

from netchu.core.errors import NetchuError
from netchu.core.params import SynthesisParams
from netchu.data.line_table import Line, Skipped, shard_name, write_shard
from netchu.synthesis.datasets import Kind

TIMEOUT = 10
"""Seconds that a Ray cluster has to answer."""


@dataclass(frozen=True)
class Shard:
    """The line numbers start … stop - 1, and the place of their file among the others."""

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> str:
        """Name of its file."""
        return shard_name(self.number)


def draw_shard(studio: Kind, shard: Shard, folder: Path) -> None:
    """Draw the lines of `shard` into its file in `folder`; skipped lines and ways are its notes.

    Raises:
        NetchuError: the disk is full.
    """
    cv2.setNumThreads(1)  # the processes share the cores
    lines: list[Line] = []
    skipped: list[tuple[str, str]] = []
    ways: dict[str, int] = {}
    for index in range(shard.start, shard.stop):
        drawing = studio.draw(index)
        if isinstance(drawing.line, Skipped):
            skipped.append((drawing.line.id, drawing.line.reason))
        else:
            lines.append(drawing.line)
        for way, words in drawing.ways.items():
            ways[way] = ways.get(way, 0) + words
    with one_line_when_full(folder):
        write_shard(lines, folder / shard.name, {"skipped": skipped, "ways": ways})


def draw_shards(
    studio: Kind, shards: Sequence[Shard], folder: Path, how: SynthesisParams
) -> Iterator[Shard]:
    """Draw `shards` into `folder`; yield each when its file is there, in any order.

    Raises:
        NetchuError: no worker is wanted, the disk is full, a process died, Ray is not installed
            or not reached.
    """
    if how.workers < 1:
        raise NetchuError(f"synthesis.workers is {how.workers}; set it to 1 or more")
    if not shards:
        return
    if how.executor == "ray":
        yield from _with_ray(studio, shards, folder, how)
    elif how.workers == 1:
        for shard in shards:
            draw_shard(studio, shard, folder)
            yield shard
    else:
        yield from _with_processes(studio, shards, folder, how.workers)


@contextmanager
def one_line_when_full(folder: Path) -> Iterator[None]:
    """Within, a full disk (or quota) is an error that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NetchuError(
            f"no space is left for {folder}; make some and run again: finished shards are kept"
        ) from None


def _with_processes(
    studio: Kind, shards: Sequence[Shard], folder: Path, workers: int
) -> Iterator[Shard]:
    """Each process gets one shard after another through a pipe of its own.

    A pipe tells either side of the other's death, which the pools of the standard library do not:
    one waits for ever for a dead worker, the other's workers for a dead master.
    """
    waiting = deque(shards)
    crew = [_hire() for _ in range(min(workers, len(shards)))]
    busy: dict[Connection, Shard] = {}
    try:
        for _, worker in crew:
            busy[worker] = waiting.popleft()
            _send(worker, (studio, folder))
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
        for process, _ in crew:
            process.kill()
            process.join()


def _hire() -> tuple[BaseProcess, Connection]:
    """A process that waits for its studio and shards, and the pipe to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _send(worker: Connection, what: object) -> None:
    with suppress(ConnectionError):  # that it died is told by the next `_receive`
        worker.send(what)


def _receive(worker: Connection, shard: Shard) -> None:
    """Take the answer of a worker: nothing, or what went wrong."""
    try:
        problem = worker.recv()
    except (EOFError, ConnectionError):
        raise NetchuError(
            f"the process that drew lines {shard.start} to {shard.stop - 1} died (out of memory?); "
            "run again, with fewer synthesis.workers if need be: finished shards are kept"
        ) from None
    if problem is not None:
        raise problem


def _serve(master: Connection) -> None:
    """Draw the shards that `master` sends, until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the master ends its workers
    with suppress(EOFError, ConnectionError):
        studio, folder = master.recv()
        while True:
            master.send(_try_to_draw(studio, master.recv(), folder))


def _try_to_draw(studio: Kind, shard: Shard, folder: Path) -> Exception | None:
    try:
        draw_shard(studio, shard, folder)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return error
    return None


class _RayWorker:
    """Draws shards where Ray wants them; made once in each of Ray's worker processes."""

    def __init__(self, studio: Kind, project: Path, folder: Path) -> None:
        os.chdir(project)  # studios and shards name files by their path in the project
        self.studio, self.folder = studio, folder

    def __call__(self, row: dict[str, int]) -> dict[str, Any]:
        try:
            draw_shard(self.studio, Shard(**row), self.folder)
        except NetchuError as error:
            return {"shard": row, "problem": str(error)}
        return {"shard": row, "problem": ""}


def _with_ray(
    studio: Kind, shards: Sequence[Shard], folder: Path, how: SynthesisParams
) -> Iterator[Shard]:
    """A block of Ray Data for each shard, a pool of actors to draw them.

    Ray starts a dead actor anew and has its shards drawn again. All machines must see the project
    under one path.
    """
    # No statistics of use leave the machine, and Ray's own processes keep quiet.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    try:
        import ray
        import ray.data
    except ImportError:
        raise NetchuError(
            "synthesis.executor is ray, which is not installed; install netchu[cluster], or set "
            "it to local"
        ) from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        _connect(how.address)
        blocks = ray.data.from_items([asdict(s) for s in shards], override_num_blocks=len(shards))
        drawn = blocks.map(
            _RayWorker,
            fn_constructor_args=(studio, Path.cwd(), folder),
            # No shard waits behind a slow worker.
            compute=ray.data.ActorPoolStrategy(size=how.workers, max_tasks_in_flight_per_actor=1),
        )
        for row in drawn.iter_rows():
            if row["problem"]:
                raise NetchuError(row["problem"])
            yield Shard(**row["shard"])
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    """Join the cluster at `address` (host:port); '' takes one of this machine, or starts it."""
    import ray

    try:
        if address:  # Ray itself would knock for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), TIMEOUT).close()
        ray.init(address or None, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError) as error:
        raise NetchuError(
            f"no Ray cluster answers at {address or 'this machine'} ({error}); set "
            "synthesis.address to the host:port of one, or synthesis.executor to local"
        ) from None
