"""What tracking costs a training: `python benchmarks/tracking.py SYSTEM STAGE`, STAGE is pretrain.

Trains a stage of params.yaml, tracked as ever, and measures within the same run what the training
process spends in the callbacks and the logger, and what the threads of the tracking take. A second
training without tracking is no measure on a machine that does other work. The stage's outputs are
overwritten. Prints wall time and processor time in seconds, and their share of the training's.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netchu.core.params import Params, load_params
from netchu.core.runtime import set_compute_environment


@dataclass
class Clock:
    """Seconds spent in one part, which may not be entered by two threads at once."""

    wall: float = 0.0
    cpu: float = 0.0
    inside: bool = False

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time added to this clock, but not that of inner calls."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.inside:
                return function(*args, **kwargs)
            self.inside, wall, cpu = True, time.monotonic(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.inside = False
                self.wall += time.monotonic() - wall
                self.cpu += time.thread_time() - cpu

        return call

    def watch(self, owner: Any, *names: str) -> None:
        """Time methods of a class."""
        for name in names:
            setattr(owner, name, self.timed(getattr(owner, name)))


def measure(params: Params, system: str, stage: str) -> dict[str, Clock]:
    """Train a stage; return the time of each part, of which the first is the training itself."""
    from netchu.training.stage import train_stage

    training, start, callbacks, end = Clock(), Clock(), Clock(), Clock()
    threads: dict[str, Clock] = {}

    def run(thread: threading.Thread) -> None:
        try:
            run_thread(thread)
        finally:
            target = getattr(thread, "_target", None) or thread
            clock = threads.setdefault(getattr(target, "__qualname__", thread.name), Clock())
            clock.cpu += time.thread_time()

    def load() -> Any:
        from netchu.tracking import live_metrics, live_run

        callbacks.watch(
            live_metrics.LiveMetrics, "on_train_epoch_start", "on_before_optimizer_step",
            "on_train_batch_end", "on_validation_batch_end", "on_train_epoch_end",
        )  # fmt: skip
        callbacks.watch(live_metrics.LiveLogger, "log_metrics", "log_hyperparams", "save")
        start.watch(live_run.LiveRun, "begin", "instruments")
        end.watch(live_run.LiveRun, "finish")
        return live_run.tracked_training

    tracked_training = start.timed(load)()
    run_thread, threading.Thread.run = threading.Thread.run, run  # type: ignore[method-assign]
    with tracked_training(params, system, stage) as monitor:
        wall, cpu = time.monotonic(), time.process_time()
        train_stage(params, system, stage, monitor)
        training.wall, training.cpu = time.monotonic() - wall, time.process_time() - cpu
    main = {"training": training, "callbacks": callbacks, "start": start, "end": end}
    return main | {f"thread {name}": clock for name, clock in threads.items()}


def main() -> None:
    """Train and print the table."""
    system, stage = sys.argv[1:]
    params = load_params()
    set_compute_environment(params.compute)
    parts = measure(params, system, stage)
    training = parts["training"]
    print(f"{'':40}{'wall s':>10}{'%':>8}{'cpu s':>10}{'%':>8}")
    for name, clock in parts.items():
        wall, cpu = 100 * clock.wall / training.wall, 100 * clock.cpu / training.cpu
        print(f"{name:40}{clock.wall:10.2f}{wall:8.2f}{clock.cpu:10.2f}{cpu:8.2f}")


if __name__ == "__main__":
    main()
