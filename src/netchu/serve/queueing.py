"""Batching of images from many requests, with a bound on how many are pending."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from netchu.core.errors import NetchuError
from netchu.imaging.photos import PhotoSource
from netchu.inference.reader import Reader
from netchu.inference.results import PhotoReading

Outcome = PhotoReading | NetchuError

MAX_BATCH = 16
"""Images that one thread reads at a time."""

BATCH_SECONDS = 0.004
"""Time that an image waits at most for others to fill its batch."""


class FullError(Exception):
    """The queue has no room for the images."""


@dataclass(frozen=True)
class _Job:
    reader: Reader
    line: bool
    image: PhotoSource
    future: Future[Outcome] = field(default_factory=Future)

    def batches_with(self, other: _Job) -> bool:
        return self.reader is other.reader and self.line == other.line


class ReadingQueue:
    """Threads that read queued images in batches. Safe to share between threads.

    Attributes:
        capacity: largest number of pending images.
        pending: number of images that are queued or being read.
    """

    def __init__(
        self, workers: int, capacity: int, on_batch: Callable[[int], None] = lambda size: None
    ) -> None:
        """Start `workers` threads; `on_batch` is called with the size of each batch."""
        self.capacity = capacity
        self.pending = 0
        self._on_batch = on_batch
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"reading-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, reader: Reader, images: Sequence[PhotoSource], line: bool
    ) -> list[Future[Outcome]]:
        """Queue all images, or none; an image whose future is cancelled in time is not read.

        Raises:
            FullError: there is no room for all of them, or the queue is closed.
        """
        jobs = [_Job(reader, line, image) for image in images]
        with self._changed:
            if self._closed or self.pending + len(jobs) > self.capacity:
                raise FullError
            self.pending += len(jobs)
            self._jobs.extend(jobs)
            self._changed.notify_all()
        return [job.future for job in jobs]

    def close(self) -> None:
        """Accept no more images, read the queued ones and return when they are done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._next_batch():
            wanted = [job for job in batch if job.future.set_running_or_notify_cancel()]
            try:
                if wanted:
                    self._on_batch(len(wanted))
                    _read(wanted)
            finally:
                with self._changed:
                    self.pending -= len(batch)

    def _next_batch(self) -> list[_Job]:
        """Wait for jobs; return an empty batch when the queue is closed and empty."""
        with self._changed:
            while True:
                while not self._jobs:
                    if self._closed:
                        return []
                    self._changed.wait()
                deadline = time.monotonic() + BATCH_SECONDS
                while len(self._jobs) < MAX_BATCH and not self._closed:
                    if (left := deadline - time.monotonic()) <= 0:
                        break
                    self._changed.wait(left)
                if self._jobs:  # another thread may have taken them in the meantime
                    return self._take_batch()

    def _take_batch(self) -> list[_Job]:
        """Take the first job and others that can be read in the same batch."""
        first = self._jobs[0]
        batch = [job for job in self._jobs if job.batches_with(first)][:MAX_BATCH]
        taken = set(map(id, batch))
        self._jobs = deque(job for job in self._jobs if id(job) not in taken)
        return batch


def _read(jobs: Sequence[_Job]) -> None:
    """Set the result of each job; if a batch fails, read its images one by one."""
    try:
        outcomes = list(
            jobs[0].reader.read_many(
                [job.image for job in jobs], line=jobs[0].line, batch=MAX_BATCH
            )
        )
    except Exception as error:  # any error must neither end the thread nor fail other images
        if len(jobs) == 1:
            jobs[0].future.set_exception(error)
            return
        for job in jobs:
            _read([job])
        return
    for job, outcome in zip(jobs, outcomes, strict=True):
        job.future.set_result(outcome)
