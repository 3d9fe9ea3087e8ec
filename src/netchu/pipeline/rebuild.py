"""Rebuilding what is out of date, with systems trained side by side.

DVC runs one stage at a time. Several of its commands may run at once, but a stage whose output
another one reads counts as busy, even if it is up to date. Therefore what all systems need is built
first; then each command runs the training stages of one system and no stage that these depend on;
and then DVC runs what is left, evaluations too, so that systems are timed on a machine without
other work.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from netchu.core.cores import available_cores
from netchu.core.errors import NetchuError
from netchu.core.params import Params

DVC = (sys.executable, "-m", "dvc")
"""The command."""


def default_jobs(params: Params) -> int:
    """Return how many systems are trained at once: as many as there are cores for.

    On other hardware than the CPU it is one, because that is not shared.
    """
    if params.trainer.accelerator != "cpu":
        return 1
    return max(1, available_cores() // (params.compute.threads * params.trainer.devices))


def rebuild(params: Params, jobs: int) -> None:
    """Run all stages that are out of date.

    Args:
        params: of the profile.
        jobs: most systems that are trained at once; 1 leaves all to one `dvc repro`.

    Raises:
        NetchuError: a stage failed; what it printed says why.
    """
    groups = _groups(params)
    if jobs > 1 and groups:
        _run("repro", "selection@lines")
        places: SimpleQueue[set[int]] = SimpleQueue()
        for cores in _shares(min(jobs, len(groups))):
            places.put(cores)
        started: list[subprocess.Popen[Any]] = []
        pool = ThreadPoolExecutor(places.qsize())
        try:
            failed = [name for name in pool.map(partial(_train, places, started), groups) if name]
        except BaseException:  # Ctrl-C
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                _stop(process)
            raise
        finally:
            pool.shutdown()
        if failed:
            raise NetchuError(f"the training of {', '.join(failed)} failed, see above")
    _run("repro")


def _groups(params: Params) -> list[list[str]]:
    """Return the systems, those together of which one starts from another's pretraining."""
    groups: list[set[str]] = []
    for name, system in params.systems.items():
        group = {name, system.start or name}
        for other in [other for other in groups if other & group]:
            groups.remove(other)
            group |= other
        groups.append(group)
    return [[name for name in params.systems if name in group] for group in groups]


def _shares(number: int) -> Iterator[set[int]]:
    """Yield the cores of each of some jobs; sets are empty where cores cannot be chosen."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    for place in range(number):
        yield set(cores[place::number])


def _train(
    places: SimpleQueue[set[int]], started: list[subprocess.Popen[Any]], systems: list[str]
) -> str:
    """Train systems one after the other on free cores; return their names if a stage failed.

    Args:
        places: sets of cores that are free.
        started: gets the process.
        systems: names of systems.
    """
    name = ", ".join(systems)
    stages = [f"{stage}@{system}" for stage in ("pretrain", "finetune") for system in systems]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
               "encoding": "utf-8", "errors": "replace"}  # fmt: skip
    cores = places.get()
    try:
        with _dvc("--wait-for-lock", "repro", "--single-item", *stages, **options) as process:
            started.append(process)
            if cores:
                os.sched_setaffinity(process.pid, cores)
            for line in milestones(process.stdout or ()):
                print(f"{name}: {line}", flush=True)
    finally:
        places.put(cores)
    return name if process.returncode else ""


@contextmanager
def _dvc(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a command of DVC, which has ended when the block has; an exception stops it.

    Args:
        arguments: of DVC.
        options: of `Popen`.
    """
    # In a session of its own, so that it can be stopped with the stage that it runs.
    process = subprocess.Popen(
        [*DVC, *arguments], env=_environment(), start_new_session=True, **options
    )
    try:
        yield process
        process.wait()
    except BaseException:
        _stop(process)
        process.wait()
        raise


def _stop(process: subprocess.Popen[Any]) -> None:
    """End a command of DVC and its stage, which keeps its checkpoints."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.terminate()


_BAR = re.compile(
    r"(?P<title>.*?):\s+(?:\d+%)?\|[^|]*\| \S+/\S+ \[[^,]*,[^,]*(?:, (?P<values>.*))?\]"
)
_ADVICE = ("To track the changes", "git add ", "To enable auto staging", "dvc config ", "Use `dvc")


def milestones(lines: Iterable[str]) -> Iterator[str]:
    """Yield what is worth a line where several commands print at once.

    That is what belongs to no progress bar, and the values at the end of each epoch, without DVC's
    advice about git.

    Args:
        lines: what a command prints; each state of a bar is a line.
    """
    title = values = ""
    for line in lines:
        text = line.replace("\x1b[A", "").strip()
        bar = _BAR.match(text)
        if (bar and not bar["title"].startswith("Epoch")) or text.startswith(_ADVICE) or not text:
            continue
        if values and (not bar or bar["title"] != title):
            yield f"{title}: {values}"
            values = ""
        if bar:
            title, values = bar["title"], bar["values"] or values
        else:
            yield text
    if values:
        yield f"{title}: {values}"


def _run(*arguments: str) -> None:
    """Run a command of DVC that prints for itself."""
    with _dvc(*arguments) as process:
        process.wait()
    if process.returncode:
        raise NetchuError("a stage failed, see above")


def _environment() -> dict[str, str]:
    """Return the environment, in which stages find this Python as `python`."""
    own = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([own, os.environ.get("PATH", "")])}
