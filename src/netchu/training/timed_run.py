"""Training in pieces of some minutes: go on from the state of the former piece, and leave one.

The training is the pipeline's own. It runs in a process that is killed when the time is up, since
a killed training goes on from its last epoch anyway: what is lost is part of one epoch.
"""

from __future__ import annotations

import json
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

from netchu.core import fingerprints, runtime
from netchu.core.errors import NetchuError, one_line_errors
from netchu.core.params import Params, PhaseParams, TrainerParams, parse_config
from netchu.training.bundle import Parcel, stages, unpack_into
from netchu.training.checkpoint_archive import STATE, Work, restore_state, save_state

_SAVING = 40.0
"""Seconds at the end of a piece in which its state is written, loading torch included."""


def train_piece(
    path: Path, out: Path, minutes: float, trainer: Mapping[str, str], workers: int | None
) -> str:
    """Train the system of a parcel for so many minutes, writing included; say how far it is.

    out: the folder of the state, empty or of a former piece. trainer: what is to be otherwise in
    the trainer's parameters. workers: processes that load, or None for the parcel's number.

    Raises:
        NetchuError: a damaged parcel or state, a state of another parcel, code or trainer, or a
            training that broke off (whose state is written all the same).
    """
    until = time.monotonic() + max(60 * minutes - _SAVING, 30 * minutes)
    with tempfile.TemporaryDirectory() as folder:
        parcel = unpack_into(path, Path(folder))
        work = Work(Path(folder), _changed(parcel.params, trainer, workers), parcel.system)
        belongs = _belongs(parcel, work.params)
        if (out / STATE).exists():
            restore_state(work, out, belongs)
        runtime.set_compute_environment(work.params.compute)
        sound = _run(work, until)
        told = _progress(work)
        record = {"belongs": belongs, "header": parcel.header, "progress": told}
        size = save_state(work, out, record)
    line = f"{parcel.system}: {told}; state {size / 1e6:.1f} MB"
    if not sound:
        raise NetchuError(f"the training broke off, see above ({line})")
    return line


def _changed(params: Params, trainer: Mapping[str, str], workers: int | None) -> Params:
    changed = parse_config(TrainerParams, asdict(params.trainer) | dict(trainer), "trainer")
    beside = params.compute.workers if workers is None else workers
    return replace(params, trainer=changed, compute=replace(params.compute, workers=beside))


def _belongs(parcel: Parcel, params: Params) -> dict[str, Any]:
    """What a state depends on: with another one, training would start anew."""
    network = fingerprints.PACKAGE / "models" / f"{params.network(parcel.system)}.py"
    return {
        "parcel": parcel.digest,
        "code": fingerprints.fingerprint(
            [fingerprints.PACKAGE / "training" / "phases.py", network]
        ),
        "trainer": asdict(params.trainer),
    }


def _run(work: Work, until: float) -> bool:
    """Train in a process of its own, killed at `until`; return whether nothing went wrong.

    Ctrl-C, or a request to terminate, ends the piece early and keeps its state too.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Forked: torch, where it is loaded already, has its caps; CUDA is not touched by this process.
    child = multiprocessing.get_context("fork").Process(target=_train, args=(work,))
    child.start()
    with suppress(KeyboardInterrupt):
        child.join(max(0.0, until - time.monotonic()))
    if not child.is_alive():
        return child.exitcode == 0
    assert child.pid
    with suppress(ProcessLookupError):  # so young that it has no group of its own
        os.killpg(child.pid, signal.SIGKILL)  # with the processes that load beside it
    child.kill()
    child.join()
    return True


def _train(work: Work) -> None:
    """The stages that are not finished, by the pipeline's own training."""
    os.setpgid(0, 0)
    os.chdir(work.root)
    with one_line_errors():
        from netchu.training.phases import train

        for stage in stages(work.params, work.system):
            if stage not in work.finished():
                train(work.params, work.system, stage)


def _progress(work: Work) -> str:
    """How far the training is, for a person."""
    newest = work.newest("last.ckpt", "done.json")
    if newest is None:
        done = " and ".join(work.finished())
        return f"{done} finished" if done else "no epoch finished yet"
    stage, _, place = newest.relative_to(work.checkpoints).parts[:3]
    phase: PhaseParams = getattr(work.params.system(work.system), stage)[
        int(place.removeprefix("phase"))
    ]
    curve = _curve(newest)
    rows = curve["rows"]
    rate = len(rows) * phase.steps_per_epoch * phase.batch_size / max(curve["seconds"], 1e-9)
    best = min(row["val_cer"] for row in rows)
    return (
        f"{stage}, {place}, epoch {len(rows)} of {phase.epochs}, validation CER "
        f"{rows[-1]['val_cer']:.2%} (best {best:.2%}), {rate:.0f} lines/s"
    )


def _curve(checkpoint: Path) -> dict[str, Any]:
    """What `fitting.Curve` keeps of a phase under way, or of a finished one."""
    if checkpoint.suffix == ".json":
        curve: dict[str, Any] = json.loads(checkpoint.read_text(encoding="utf-8"))
        return curve
    import torch

    last = torch.load(checkpoint, weights_only=False, map_location="cpu")
    curve = last["callbacks"]["Curve"]
    return curve
