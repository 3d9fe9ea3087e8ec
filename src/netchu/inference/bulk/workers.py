"""Pools of workers that read files: processes of this machine, or actors of Ray.

A pool only passes files to workers and their answers back; `scheduling.py` decides what is sent.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from netchu.core.cores import available_cores
from netchu.core.errors import NetchuError
from netchu.core.processes import exit_with_parent
from netchu.core.ray_cluster import connect_to_ray
from netchu.inference.bulk.file_reader import FileReader, ReadOptions
from netchu.inference.bulk.tables import Row

START_SECONDS = 600
"""Time for the first worker of a Ray cluster, which may have to start a machine for it."""


@dataclass(frozen=True)
class Death:
    """What is known about the end of a worker."""

    reason: str


Answer = str | list[Row] | Exception | Death
"""Of a worker: the hash of its model once it is loaded, the rows of its files, what it raised, or
that it died."""


class Pool(Protocol):
    """Workers by their numbers."""

    cores: int
    """How many workers can compute at the same time."""

    def start(self) -> int:
        """Start a worker that loads the model; return its number."""

    def send(self, worker: int, files: Sequence[str]) -> None:
        """Let a worker read files."""

    def wait(self) -> tuple[int, Answer]:
        """Return the next answer of any worker. One that died is no longer in the pool."""

    def close(self) -> None:
        """End all workers."""


class LocalPool:
    """Processes of this machine, each at the other end of a pipe of its own.

    Pipes report the death of either side. The pools of the standard library do not say which task
    a dead worker had.
    """

    def __init__(self, options: ReadOptions) -> None:
        self.cores = available_cores()
        self._options = options
        self._context = multiprocessing.get_context("spawn")
        self._numbers = count()
        self._workers: dict[Connection, tuple[int, BaseProcess]] = {}

    def start(self) -> int:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._options), daemon=True)
        process.start()
        theirs.close()  # else the end of the process would not close the connection
        number = next(self._numbers)
        self._workers[ours] = number, process
        return number

    def send(self, worker: int, files: Sequence[str]) -> None:
        connection = next(c for c, (number, _) in self._workers.items() if number == worker)
        with suppress(ConnectionError):  # `wait` reports that the worker died
            connection.send(files)

    def wait(self) -> tuple[int, Answer]:
        connection = wait(list(self._workers))[0]
        assert isinstance(connection, Connection)
        number, process = self._workers[connection]
        try:
            return number, connection.recv()
        except (EOFError, ConnectionError):
            process.join()
            connection.close()
            del self._workers[connection]
            return number, Death(f"exit code {process.exitcode}")

    def close(self) -> None:
        for connection, (_, process) in self._workers.items():
            process.kill()
            process.join()
            connection.close()
        self._workers = {}


class RayPool:
    """Actors of Ray with a core each, on the cluster of RAY_ADDRESS, on one that runs on this
    machine, or on one that is started.

    All machines need netchu, the model, and the files under the same paths or at addresses. Ray
    restarts nothing: what a lost worker had is sent anew by the scheduler, which knows it.
    """

    def __init__(self, options: ReadOptions) -> None:
        """Connect to the cluster.

        Raises:
            NetchuError: Ray is not installed, or the cluster does not answer.
        """
        remedy = "set RAY_ADDRESS to the host:port of one, or use --executor local"
        self._ray = ray = connect_to_ray("--executor ray", "", remedy)
        self.cores = int(ray.cluster_resources().get("CPU", 1))
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Worker)
        self._arguments = options, str(Path.cwd())
        self._numbers = count()
        self._actors: dict[int, Any] = {}
        self._answers: dict[Any, int] = {}
        self._has_answered = False

    def start(self) -> int:
        number = next(self._numbers)
        self._actors[number] = self._actor.remote(*self._arguments)
        self._answers[self._actors[number].load.remote()] = number
        return number

    def send(self, worker: int, files: Sequence[str]) -> None:
        self._answers[self._actors[worker].read.remote(files)] = worker

    def wait(self) -> tuple[int, Answer]:
        limit = None if self._has_answered else START_SECONDS
        ready, _ = self._ray.wait(list(self._answers), num_returns=1, timeout=limit)
        if not ready:
            raise NetchuError(
                f"no worker has started in {START_SECONDS // 60} minutes; see with 'ray status' "
                "whether the cluster has free cores"
            )
        worker = self._answers.pop(ready[0])
        try:
            answer: Answer = self._ray.get(ready[0])
        except self._ray.exceptions.RayError as error:
            self._ray.kill(self._actors.pop(worker))  # it may be out of reach only
            return worker, Death(" ".join(str(error).split())[-200:])
        self._has_answered = True
        return worker, answer

    def close(self) -> None:
        self._ray.shutdown()


class Worker:
    """A `FileReader` that is loaded by its first call, in a process or as an actor."""

    def __init__(self, options: ReadOptions, folder: str) -> None:
        """Note the options, and the folder to which paths are relative."""
        self._options, self._folder = options, folder

    def load(self) -> Answer:
        """Load the model; return its hash."""
        with suppress(OSError):  # a machine that reads addresses only need not have the folder
            os.chdir(self._folder)
        return _attempt(self._load)

    def read(self, files: Sequence[str]) -> Answer:
        """Return the rows of the files."""
        return _attempt(lambda: self._reader.read(files))

    def _load(self) -> str:
        self._reader = FileReader(self._options)
        return self._reader.model_hash


def _serve(parent: Connection, options: ReadOptions) -> None:
    """Read the files that `parent` sends, until it closes the pipe or dies."""
    exit_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends its workers
    worker = Worker(options, str(Path.cwd()))
    with suppress(EOFError, ConnectionError):
        parent.send(worker.load())
        while True:
            parent.send(worker.read(parent.recv()))


def _attempt(work: Callable[[], str | list[Row]]) -> Answer:
    """Return what `work` returns or raises: exceptions of Ray would hold a traceback of its own."""
    try:
        return work()
    except Exception as error:
        error.add_note(traceback.format_exc())
        return error
