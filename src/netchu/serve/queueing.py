"""Images of many requests, read together by a few threads; never more of them than have places."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from netchu.core.errors import NetchuError
from netchu.inference.results import PhotoReading
from netchu.inference.reader import Reader

Answer = PhotoReading | NetchuError

TOGETHER = 16
"""Images that one thread reads at a time."""

LINGER = 0.004
"""Seconds that an image waits at most for company."""


class FullError(Exception):
    """There are not as many places left as images came."""


@dataclass(frozen=True)
class _Job:
    reader: Reader
    line: bool
    image: bytes
    done: Future[Answer] = field(default_factory=Future)

    def like(self, other: _Job) -> bool:
        return self.reader is other.reader and self.line == other.line


class ReadingQueue:
    """Threads that read what waits, alike images together. Threads may share it.

    places: images it holds at most, those being read included.
    """

    def __init__(
        self, workers: int, places: int, watch: Callable[[int], None] = lambda size: None
    ) -> None:
        """Start `workers` threads; `watch` is told the size of every batch."""
        self.places = places
        self.held = 0
        self._watch = watch
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"reading-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, reader: Reader, images: Sequence[bytes], line: bool) -> list[Future[Answer]]:
        """Queue all images or none; cancel a future and its image is not read.

        Raises:
            FullError: there is no room for them now, or the queue is closed.
        """
        jobs = [_Job(reader, line, image) for image in images]
        with self._changed:
            if self._closed or self.held + len(jobs) > self.places:
                raise FullError
            self.held += len(jobs)
            self._waiting.extend(jobs)
            self._changed.notify_all()
        return [job.done for job in jobs]

    def close(self) -> None:
        """Take nothing more, read what waits, and return when that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._next():
            wanted = [job for job in batch if job.done.set_running_or_notify_cancel()]
            try:
                if wanted:
                    self._watch(len(wanted))
                    _read(wanted)
            finally:
                with self._changed:
                    self.held -= len(batch)

    def _next(self) -> list[_Job]:
        """The first job and those like it that wait or come at once; none at the end."""
        with self._changed:
            while True:
                while not self._waiting:
                    if self._closed:
                        return []
                    self._changed.wait()
                until = time.monotonic() + LINGER
                while len(self._waiting) < TOGETHER and not self._closed:
                    if (left := until - time.monotonic()) <= 0:
                        break
                    self._changed.wait(left)
                if self._waiting:  # another thread may have taken them meanwhile
                    return self._take()

    def _take(self) -> list[_Job]:
        first = self._waiting[0]
        batch = [job for job in self._waiting if job.like(first)][:TOGETHER]
        taken = set(map(id, batch))
        self._waiting = deque(job for job in self._waiting if id(job) not in taken)
        return batch


def _read(jobs: Sequence[_Job]) -> None:
    """Give each job its answer; where a batch breaks down, its images are read one by one."""
    try:
        answers = list(
            jobs[0].reader.read_many([job.image for job in jobs], line=jobs[0].line, batch=TOGETHER)
        )
    except Exception as error:  # whatever it is, it must not end the thread nor hit a neighbour
        if len(jobs) == 1:
            jobs[0].done.set_exception(error)
            return
        for job in jobs:
            _read([job])
        return
    for job, answer in zip(jobs, answers, strict=True):
        job.done.set_result(answer)
