"""Training in runs of limited time: each resumes from the archive of the one before.

The training is the pipeline's own. It runs in a process that is killed when the time is up, since
a killed training resumes from its last whole epoch anyway; part of one epoch is lost.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from netchu.core import runtime
from netchu.core.errors import NetchuError, one_line_errors
from netchu.core.files import read_json
from netchu.core.params import Params, TrainerParams, parse_config
from netchu.core.processes import exit_with_parent
from netchu.training.bundle import Bundle, extract
from netchu.training.checkpoint_archive import (
    ARCHIVE,
    SystemTraining,
    restore_archive,
    save_archive,
)
from netchu.training.stage_info import code_fingerprint, stage_phases, training_stages

_SAVING_SECONDS = 40.0
"""Time at the end of a run in which the archive is written, loading torch included."""


def train_for_minutes(
    path: Path, out: Path, minutes: float, trainer: Mapping[str, str], workers: int | None
) -> str:
    """Train the system of a bundle and write an archive of its checkpoints.

    Args:
        path: the bundle.
        out: folder of the archive, empty or of an earlier run.
        minutes: time limit, writing the archive included.
        trainer: changes to the parameters of the trainer.
        workers: processes that load lines; None is the bundle's number.

    Returns:
        One line that says how far the training is.

    Raises:
        NetchuError: the bundle or the archive is damaged, the archive belongs to another bundle,
            code or trainer, or the training failed (its archive is written all the same).
    """
    deadline = time.monotonic() + max(60 * minutes - _SAVING_SECONDS, 30 * minutes)
    with tempfile.TemporaryDirectory() as folder:
        bundle = extract(path, Path(folder))
        params = _changed(bundle.params, trainer, workers)
        training = SystemTraining(Path(folder), params, bundle.system)
        identity = _identity(bundle, params)
        if (out / ARCHIVE).exists():
            restore_archive(training, out, identity)
        runtime.set_compute_environment(params.compute)
        succeeded = _run(training, deadline)
        progress = _progress(training)
        record = {"identity": identity, "header": bundle.header, "progress": progress}
        size = save_archive(training, out, record)
    line = f"{bundle.system}: {progress}; archive {size / 1e6:.1f} MB"
    if not succeeded:
        raise NetchuError(f"the training failed, see above ({line})")
    return line


def _changed(params: Params, trainer: Mapping[str, str], workers: int | None) -> Params:
    changed = parse_config(TrainerParams, asdict(params.trainer) | dict(trainer), "trainer")
    compute = params.compute if workers is None else replace(params.compute, workers=workers)
    return replace(params, trainer=changed, compute=compute)


def _identity(bundle: Bundle, params: Params) -> dict[str, Any]:
    """Return what checkpoints belong to; if it changed, training would start from the beginning."""
    return {
        "bundle": bundle.digest,
        "code": code_fingerprint(params.network(bundle.system)),
        "trainer": asdict(params.trainer),
    }


def _run(training: SystemTraining, deadline: float) -> bool:
    """Train in a process that is killed at `deadline`; return False if the training failed.

    Ctrl-C and SIGTERM end the run early and keep its checkpoints too.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Forked: if torch is loaded already, the child keeps its thread limits. This process does not
    # touch CUDA.
    child = multiprocessing.get_context("fork").Process(target=_train, args=(training,))
    child.start()
    with suppress(KeyboardInterrupt):
        child.join(max(0.0, deadline - time.monotonic()))
    if not child.is_alive():
        return child.exitcode == 0
    assert child.pid
    with suppress(ProcessLookupError):  # it has no process group of its own yet
        os.killpg(child.pid, signal.SIGKILL)  # with the processes that load lines
    child.kill()
    child.join()
    return True


def _train(training: SystemTraining) -> None:
    """Run the stages that are not finished."""
    exit_with_parent()
    os.setpgid(0, 0)
    os.chdir(training.root)
    with one_line_errors():
        from netchu.training.stage import train_stage

        for stage in training_stages(training.params, training.system):
            if stage not in training.finished():
                train_stage(training.params, training.system, stage)


def _progress(training: SystemTraining) -> str:
    """Return how far the training is, for people."""
    newest = training.newest("last.ckpt", "done.json")
    if newest is None:
        finished = " and ".join(training.finished())
        return f"{finished} finished" if finished else "no epoch finished yet"
    stage, _, folder = newest.relative_to(training.checkpoints).parts[:3]
    phases = stage_phases(training.params, training.system, stage)
    phase = phases[int(folder.removeprefix("phase"))]
    rows, seconds = _history(newest)
    rate = len(rows) * phase.steps_per_epoch * phase.batch_size / max(seconds, 1e-9)
    best = min(row["val_cer"] for row in rows)
    return (
        f"{stage}, {folder}, epoch {len(rows)} of {phase.epochs}, validation CER "
        f"{rows[-1]['val_cer']:.2%} (best {best:.2%}), {rate:.0f} lines/s"
    )


def _history(checkpoint: Path) -> tuple[list[dict[str, Any]], float]:
    """Return the rows of the epochs and the seconds, from last.ckpt or done.json of a phase."""
    if checkpoint.suffix == ".json":
        record = read_json(checkpoint, "train again into an empty folder")
        return record["rows"], record["seconds"]
    from netchu.training.checkpoints import read_checkpoint

    states = read_checkpoint(checkpoint)["callbacks"]
    return states["HistoryCallback"]["rows"], states["TimerCallback"]["seconds"]
