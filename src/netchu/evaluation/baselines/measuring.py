"""Measurement of a baseline: train it if it is to be trained, then read and time the test lines."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.files import new_folder
from netchu.core.params import Params, parse_config
from netchu.core.text import normalise
from netchu.decoding.readings import MAIN_VARIANT
from netchu.evaluation.baselines.base import Baseline, UnavailableError
from netchu.evaluation.baselines.catalogue import BASELINES
from netchu.evaluation.baselines.environments import HOME, environment_bin
from netchu.evaluation.baselines.exporting import BaselineParams, write_images, write_training_lines
from netchu.evaluation.baselines.processes import run_program
from netchu.evaluation.eval_subset import PREDICTION_COLUMNS, load_eval_subset
from netchu.evaluation.latency import (
    REPEATS,
    SAMPLE_HEIGHT,
    SAMPLE_WIDTHS,
    describe_machine,
    latency_quantiles,
    latency_sample,
)
from netchu.evaluation.metrics.rates import DIGITS
from netchu.evaluation.metrics.summary import summarise_predictions
from netchu.evaluation.metrics_io import write_metrics

LEVELS = ("word", "line")
"""Levels that baselines read; paragraphs would need one that finds lines."""

START_SECONDS, SECONDS_PER_LINE = 600, 20
"""Time limits for creating or loading a network, and for a line on average."""

SOURCE = Path(__file__).resolve().parents[3]
"""Folder from which a worker imports its side of `netchu.evaluation.baselines`."""


@dataclass(frozen=True)
class _Job:
    params: Params
    name: str
    baseline: Baseline
    settings: BaselineParams
    scratch: Path

    @property
    def is_trained(self) -> bool:
        return self.baseline.training_commands is not None


def measure_baseline(params: Params, name: str, out: Path) -> dict[str, Any]:
    """Measure the baseline `name` on the test lines; write the results into the folder `out`.

    `metrics.json` has the keys of a system's evaluation and `why`, the reason for missing metrics
    or ''. `predictions.parquet` and `speed.json` are written as far as they could be measured.
    Returns the metrics.

    Raises:
        NetchuError: params.yaml does not name the baseline, or lacks its training data.
    """
    job = _job(params, name)
    shutil.rmtree(job.scratch, ignore_errors=True)
    job.scratch.mkdir(parents=True)
    try:
        with new_folder(out) as folder:
            try:
                metrics = _empty_metrics(job) | _measure(job, folder)
            except UnavailableError as error:
                metrics = _empty_metrics(job) | {"why": str(error)}
            write_metrics(metrics, folder / "metrics.json")
    finally:
        shutil.rmtree(job.scratch, ignore_errors=True)
    return metrics


def _job(params: Params, name: str) -> _Job:
    if name not in BASELINES:
        raise NetchuError(f"unknown baseline {name!r}; there are: {', '.join(BASELINES)}")
    if name not in params.baselines:
        raise NetchuError(f"params.yaml has no baseline {name!r}; add it under baselines")
    settings = parse_config(BaselineParams, params.baselines[name], f"params.yaml baselines.{name}")
    job = _Job(params, name, BASELINES[name], settings, (HOME / name / "scratch").resolve())
    if job.is_trained and not (settings.datasets and settings.minutes > 0):
        raise NetchuError(f"baselines.{name} is trained: set datasets and minutes in params.yaml")
    if not job.is_trained and settings != BaselineParams():
        raise NetchuError(f"baselines.{name} is not trained: write '{name}: {{}}' in params.yaml")
    return job


def _empty_metrics(job: _Job) -> dict[str, Any]:
    """Return the metrics of a baseline before anything is measured."""
    return {
        "baseline": True,
        "system": job.name,
        "profile": job.params.profile,
        "seed": job.params.seed,
        "main": MAIN_VARIANT,
        "variants": {},
        "training": [],
        **dict.fromkeys(("version", "why", "note", "hub_note"), ""),
        **dict.fromkeys(("size_mb", "memory_mb", "parameters")),
    }


def _measure(job: _Job, folder: Path) -> dict[str, Any]:
    """Return what was measured; write predictions and speed into `folder`."""
    lines = load_eval_subset(job.params)
    bin_folder = environment_bin(job.baseline.environment)
    training = [_train(job, bin_folder)] if job.is_trained else []
    timed = lines[lines["level"] == "line"].iloc[: job.params.evaluate.latency_lines]
    lines = timed if job.baseline.unusable_reason else lines[lines["level"].isin(LEVELS)]
    samples = [latency_sample(timed, width) for width in SAMPLE_WIDTHS for _ in range(REPEATS)]
    answer = _read(job, bin_folder, pd.concat([lines, *samples], ignore_index=True))
    lines = lines.assign(answer=answer["lines"][: len(lines)])
    speed = _speed(lines.loc[timed.index, "answer"], answer["lines"][len(lines) :])
    write_metrics(speed | {"isa": job.params.compute.isa}, folder / "speed.json")
    metrics = {"training": training, "note": _note(training, lines["answer"])} | {
        key: answer[key] for key in ("version", "size_mb", "parameters")
    }
    if job.baseline.unusable_reason:
        return metrics | {"why": job.baseline.unusable_reason}
    predictions = _predictions(lines)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    evaluate = job.params.evaluate
    return metrics | summarise_predictions(
        predictions, evaluate.datasets, evaluate.resamples, job.params.seed
    )


def _train(job: _Job, bin_folder: Path) -> dict[str, Any]:
    """Train a baseline for its minutes; its checkpoints are in the scratch folder's `model`."""
    assert job.baseline.training_commands is not None
    lines, model = job.scratch / "lines", job.scratch / "model"
    model.mkdir()
    count = write_training_lines(job.params, job.settings, lines, job.baseline.height)
    threads = job.params.compute.threads
    log = HOME / job.name / "training.log"
    *setup, train = job.baseline.training_commands(lines, model, bin_folder, threads)
    for command in setup:
        run_program(command, log, START_SECONDS, _environ(threads), cwd=model)
    seconds = round(60 * job.settings.minutes, 1)
    run_program(train, log, seconds, _environ(threads), cwd=model, until_stopped=True)
    return {"stage": "train", "seconds": seconds, "lines": count, "threads": threads}


def _read(job: _Job, bin_folder: Path, lines: pd.DataFrame) -> dict[str, Any]:
    """Return the answer of the baseline's worker for the images of `lines`, in their order."""
    images, out = job.scratch / "images", job.scratch / "answer.json"
    write_images(lines, images, job.baseline.height)
    argument = str(job.scratch / "model") if job.is_trained else job.baseline.argument
    command = [str(bin_folder / "python"), "-m", job.baseline.worker, str(images), str(out)]
    log = job.scratch / "reading.log"
    seconds = START_SECONDS + SECONDS_PER_LINE * len(lines)
    run_program([*command, argument], log, seconds, _environ(1), cwd=job.scratch)
    answer: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return answer


def _environ(threads: int) -> dict[str, str]:
    """Return the variables of a baseline's process: its threads and where it imports netchu."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
    return {
        **dict.fromkeys(names, str(threads)),
        "PYTHONPATH": str(SOURCE),
        "PYTHONUTF8": "1",
        "VIRTUAL_ENV": "",
        "PATH": os.environ["PATH"],
    }


def _predictions(lines: pd.DataFrame) -> pd.DataFrame:
    """Return rows as a system's predictions.parquet has them, with normalised readings."""
    rows = lines.assign(
        variant=MAIN_VARIANT,
        reading=[normalise(text) for text, *_ in lines["answer"]],
        confidence=[round(confidence, DIGITS) for _, confidence, *_ in lines["answer"]],
    )
    return rows.sort_values(["dataset", "id"], ignore_index=True)[PREDICTION_COLUMNS]


def _speed(of_lines: Sequence[Any], of_samples: Sequence[Any]) -> dict[str, Any]:
    """Return times on one thread; the other values of a system's `speed.json` are not known."""
    by_width = []
    for number, width in enumerate(SAMPLE_WIDTHS):
        answers = of_samples[number * REPEATS : (number + 1) * REPEATS]
        times = latency_quantiles([milliseconds for _, _, milliseconds, _ in answers])
        by_width.append({"height": SAMPLE_HEIGHT, "width": width, **times, "multiply_adds": None})
    return {
        **latency_quantiles([milliseconds for _, _, milliseconds, _ in of_lines]),
        "threads": 1,
        "by_width": by_width,
        "throughput_lines_per_s": None,
        "throughput_threads": None,
        "device": "cpu",
        "machine": describe_machine(),
    }


def _note(training: list[dict[str, Any]], answers: Iterable[Any]) -> str:
    notes = [
        f"trained for {t['seconds'] / 60:g} minutes on {t['threads']} threads "
        f"with {t['lines']} lines"
        for t in training
    ]
    if failed := sum(bool(failure) for *_, failure in answers):
        notes.append(f"lines on which it failed, which count as read empty: {failed}")
    return "; ".join(notes)
