"""A bounded, fair queue of the tasks of many requests.

An address has as many turns as any other, however much it sends, and one worker fewer than there
are, so that it cannot occupy all with images that take long.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from netchu.serve.worker_process import NotWantedError

CLOSE_SECONDS = 2.0


class Worker(Protocol):
    """What `WorkerProcess` does."""

    def run(
        self,
        task: Callable[..., Any],
        arguments: tuple[Any, ...],
        seconds: float,
        is_wanted: Callable[[], bool],
    ) -> Any:
        """Return what a task returns."""

    def close(self) -> None:
        """End the process."""


class FullError(Exception):
    """The queue has no room for the tasks."""


@dataclass(frozen=True, eq=False)
class _Job:
    address: str
    task: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: Future[Any] = field(default_factory=Future)

    def is_wanted(self) -> bool:
        return not self.future.cancelled()


_Request = deque[_Job]


class TaskQueue:
    """Workers that take tasks in turn from the requests. Safe to share between threads.

    Attributes:
        pending: number of tasks that are queued or running.
    """

    def __init__(
        self,
        start_worker: Callable[[], Worker],
        workers: int,
        capacity: int,
        capacity_per_address: int,
        seconds: float,
    ) -> None:
        """Start workers, each with a thread that waits for it.

        Args:
            start_worker: starts one.
            workers: number of workers.
            capacity: largest number of pending tasks.
            capacity_per_address: the same of one address.
            seconds: time that a task may take.
        """
        self.pending = 0
        self._start_worker = start_worker
        self._capacity, self._capacity_per_address = capacity, capacity_per_address
        self._workers_per_address = max(1, workers - 1)
        self._seconds = seconds
        self._requests: dict[str, deque[_Request]] = {}
        self._pending_of: Counter[str] = Counter()
        self._running: set[_Job] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, address: str, task: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> list[Future[Any]]:
        """Queue a task for each of `arguments`, or none.

        A task whose future is cancelled is not run, or ended if it runs.

        Args:
            address: whose request it is.
            task: see `worker_process.Task`.
            arguments: those of each call.

        Raises:
            FullError: there is no room for all of them, or the queue is closed.
        """
        jobs = [_Job(address, task, each) for each in arguments]
        with self._changed:
            if (
                self._closed
                or self.pending + len(jobs) > self._capacity
                or self._pending_of[address] + len(jobs) > self._capacity_per_address
            ):
                raise FullError
            self.pending += len(jobs)
            self._pending_of[address] += len(jobs)
            if jobs:
                self._requests.setdefault(address, deque()).append(deque(jobs))
            self._changed.notify_all()
        return [job.future for job in jobs]

    def close(self) -> None:
        """Accept no more tasks, cancel all pending ones and end the workers.

        A worker that has not ended within `CLOSE_SECONDS`, because it was just starting, ends with
        this process.
        """
        with self._changed:
            self._closed = True
            waiting = [job for each in self._requests.values() for jobs in each for job in jobs]
            for job in (*waiting, *self._running):
                job.future.cancel()
            self._changed.notify_all()
        until = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        worker = self._start_worker()
        while job := self._next_job():
            try:
                _run(job, worker, self._seconds)
            finally:
                with self._changed:
                    self.pending -= 1
                    self._pending_of -= Counter([job.address])  # leaves out addresses with none
                    self._running.discard(job)
                    self._changed.notify_all()
        worker.close()

    def _next_job(self) -> _Job | None:
        """Wait for a job; return None when the queue is closed."""
        with self._changed:
            while not self._closed:
                running = Counter(job.address for job in self._running)
                for address in self._requests:
                    if running[address] < self._workers_per_address:
                        return self._take(address)
                self._changed.wait()
            return None

    def _take(self, address: str) -> _Job:
        """Take a job of an address; that address, and that request of it, come last then."""
        requests = self._requests.pop(address)
        request = requests.popleft()
        job = request.popleft()
        if request:
            requests.append(request)
        if requests:
            self._requests[address] = requests
        self._running.add(job)
        return job


def _run(job: _Job, worker: Worker, seconds: float) -> None:
    """Run a job and set its result."""
    if not job.is_wanted():
        return
    try:
        result = worker.run(job.task, job.arguments, seconds, job.is_wanted)
    except NotWantedError:
        job.future.cancel()
    except Exception as error:  # any error is that of the task, and must not end the thread
        if job.future.set_running_or_notify_cancel():
            job.future.set_exception(error)
    else:
        if job.future.set_running_or_notify_cancel():
            job.future.set_result(result)
