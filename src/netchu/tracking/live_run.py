"""The MLflow run of a training stage while it trains.

The run is RUNNING from the start of the stage, and ends FINISHED, FAILED with the error, or KILLED.
A thread writes to MLflow, so a slow server or a time-out costs the training nothing. After the
stage, the run is completed from the stage's files, so it holds what `netchu track` would write.
Does not import torch.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from netchu.core.files import read_json, write_json
from netchu.core.params import Params
from netchu.core.runtime import is_main_process
from netchu.tracking import store
from netchu.tracking.runs import stage_tags, system_params, training_run

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger

RUN_FILE = "run.json"
"""File beside the checkpoints that holds the id of the run, with which a resumed stage goes on."""

PROCESS, ERROR = "process", "error"
"""Tags: the process that trains, as host, id and start; and why the run failed."""

_FLUSH_SECONDS = 2.0
_CLOSE_SECONDS = 60.0
"""How long the end of a stage waits for metrics that are not written yet."""

Call = Callable[[store.Client, str], None]
"""Something that is written to a run, given the client and the id."""


@contextmanager
def tracked_training(params: Params, system: str, stage: str) -> Iterator[LiveRun | None]:
    """Track a training stage that runs in the block; nothing that MLflow does fails it.

    Yields:
        The monitor for `train_stage`; None in all processes of a distributed training but the main
        one.
    """
    if not is_main_process():
        yield None
        return
    live = LiveRun(params, system, stage)
    try:
        yield live
    except (KeyboardInterrupt, SystemExit):
        live.stop("KILLED")
        raise
    except BaseException as error:
        live.stop("FAILED", f"{type(error).__name__}: {error}")
        raise
    live.finish()


class LiveRun:
    """The run of one training stage, written to by a thread; its methods return at once.

    The first failure of the thread prints one line, and what follows is dropped: the run is
    completed from the stage's files in the end, or by `netchu track`.
    """

    def __init__(self, params: Params, system: str, stage: str) -> None:
        self.params, self.system, self.stage = params, system, stage
        self.name = f"{system} {stage}"
        self.run_id: str | None = None
        self._queue: queue.SimpleQueue[tuple[str, int, float | Call]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._warned = False
        self._before: dict[str, int] = {}

    def begin(self, checkpoints: Path | None) -> None:
        """Start the run, or go on with the one that was killed with these checkpoints."""
        file = checkpoints / RUN_FILE if checkpoints else None
        self._thread = threading.Thread(target=self._write, args=(file,), daemon=True)
        self._thread.start()

    def instruments(self, first_step: int, prefix: str) -> tuple[Logger, list[Callback]]:
        """Return the logger and the callbacks of one phase, or of one fold of it.

        Args:
            first_step: optimiser steps of the phases before.
            prefix: of the names of metrics.
        """
        from netchu.tracking.live_metrics import LiveLogger, LiveMetrics

        return LiveLogger(self, first_step, prefix), [LiveMetrics()]

    def log(self, name: str, step: int, value: float | Call) -> None:
        """Log the value of a metric, or call `value` in the thread.

        A step that an earlier process has logged under this name is skipped.
        """
        self._queue.put((name, step, value))

    def finish(self) -> None:
        """Complete the run from the files of the stage."""
        self._close()
        try:
            folder = self.params.model_folder(self.system, self.stage)
            run = training_run(self.params, self.system, self.stage, folder)
            store.record_run(self.params, run, run_id=self.run_id)
        except Exception as error:
            self._warn(error)

    def stop(self, status: str, error: str = "") -> None:
        """End the run with a status of MLflow, and the error as a tag."""
        if self._thread is None:  # it failed before the training
            self.begin(None)
        self._close()
        if self.run_id is None or self._warned:
            return
        try:
            with store.quiet():
                client = store.open_client()
                store.retry_conflicts(store.log_tags, client, self.run_id, {ERROR: error})
                store.retry_conflicts(client.set_terminated, self.run_id, status)
        except Exception as failure:
            self._warn(failure)

    def _close(self) -> None:
        """Wait until the thread has written what was logged."""
        self._closing.set()
        if self._thread:
            self._thread.join(_CLOSE_SECONDS)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            store.warn_untracked(self.name, error)

    def _write(self, file: Path | None) -> None:
        """Write to MLflow until the run is closed; runs in the thread."""
        try:
            with store.quiet_loggers():
                client = store.open_client()
                self.run_id = self._open(client, file)
                with store.system_metrics(self.run_id):
                    closing = False
                    while not closing:
                        closing = self._closing.wait(_FLUSH_SECONDS)
                        self._flush(client, self.run_id)
        except Exception as error:
            self._warn(error)

    def _open(self, client: store.Client, file: Path | None) -> str:
        """Return the id of the run, which is new unless a killed one can go on."""
        experiment = store.experiment_id(client, self.params)
        killed = str(read_json(file, "")["run_id"]) if file and file.is_file() else ""
        run_id = killed if killed and _may_go_on(client, experiment, killed) else ""
        _end_killed_runs(client, experiment, self.system, self.stage, spared=run_id)
        if run_id:
            self._before = store.last_steps(client, run_id)
            store.reopen_run(client, run_id, ERROR)
        else:
            run_id = store.create_run(client, experiment, self.name)
            own = system_params(self.params, self.system, self.stage)
            store.retry_conflicts(store.log_params, client, run_id, self.params, own)
        tags = stage_tags(self.params, self.system, self.stage) | {PROCESS: _this_process()}
        store.retry_conflicts(store.log_tags, client, run_id, tags)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json({"run_id": run_id}, file)
        return run_id

    def _flush(self, client: store.Client, run_id: str) -> None:
        points: list[store.Point] = []
        calls: list[Call] = []
        while not self._queue.empty():
            name, step, value = self._queue.get()
            if step <= self._before.get(name, -1):
                continue
            if callable(value):
                calls.append(value)
            else:
                points.append((name, step, value))
        if points:
            store.retry_conflicts(store.log_points, client, run_id, points)
        for write in calls:
            store.retry_conflicts(write, client, run_id)


def _may_go_on(client: store.Client, experiment: str, run_id: str) -> bool:
    """Return whether a stage that resumes may write to the run of the killed one."""
    run = store.find_run(client, run_id)
    if run is None or run.info.experiment_id != experiment or run.info.status == "FINISHED":
        return False
    return run.info.status != "RUNNING" or not _is_alive(run.data.tags.get(PROCESS, ""))


def _end_killed_runs(
    client: store.Client, experiment: str, system: str, stage: str, spared: str
) -> None:
    """Mark the runs of this stage as KILLED whose process on this machine is gone."""
    for run in store.running(client, experiment, system, stage):
        process = run.data.tags.get(PROCESS, "")
        gone = process.startswith(f"{socket.gethostname()} ") and not _is_alive(process)
        if gone and run.info.run_id != spared:
            store.retry_conflicts(client.set_terminated, run.info.run_id, "KILLED")


def _this_process() -> str:
    process = psutil.Process()
    return f"{socket.gethostname()} {process.pid} {process.create_time():.1f}"


def _is_alive(process: str) -> bool:
    """Return whether a process, as `_this_process` writes it, runs on this machine."""
    host, _, rest = process.partition(" ")
    pid, _, start = rest.partition(" ")
    try:
        return (
            host == socket.gethostname()
            and f"{psutil.Process(int(pid)).create_time():.1f}" == start
        )
    except (ValueError, psutil.Error):
        return False
