"""Measurement of a baseline: read and time the test lines."""

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
from netchu.core.params import Params
from netchu.core.text import normalise
from netchu.decoding.readings import MAIN_VARIANT
from netchu.evaluation.baselines.base import Baseline, UnavailableError
from netchu.evaluation.baselines.catalogue import BASELINES
from netchu.evaluation.baselines.environments import HOME, environment_bin
from netchu.evaluation.baselines.exporting import write_images
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
    scratch: Path


def measure_baseline(params: Params, name: str, out: Path) -> dict[str, Any]:
    """Measure the baseline `name` on the test lines; write the results into the folder `out`.

    `metrics.json` has the keys of a system's evaluation and `why`, the reason for missing metrics
    or ''. `predictions.parquet` and `speed.json` are written as far as they could be measured.
    Returns the metrics.

    Raises:
        NetchuError: params.yaml does not name the baseline, or gives it keys.
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
    if keys := params.baselines[name]:
        raise NetchuError(f"baselines.{name} has no key {next(iter(keys))!r}; write '{name}: {{}}'")
    return _Job(params, name, BASELINES[name], (HOME / name / "scratch").resolve())


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
    timed = lines[lines["level"] == "line"].iloc[: job.params.evaluate.latency_lines]
    lines = timed if job.baseline.unusable_reason else lines[lines["level"].isin(LEVELS)]
    samples = [latency_sample(timed, width) for width in SAMPLE_WIDTHS for _ in range(REPEATS)]
    answer = _read(job, bin_folder, pd.concat([lines, *samples], ignore_index=True))
    lines = lines.assign(answer=answer["lines"][: len(lines)])
    speed = _speed(lines.loc[timed.index, "answer"], answer["lines"][len(lines) :])
    write_metrics(speed | {"isa": job.params.compute.isa}, folder / "speed.json")
    metrics = {"note": _note(lines["answer"])} | {
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


def _read(job: _Job, bin_folder: Path, lines: pd.DataFrame) -> dict[str, Any]:
    """Return the answer of the baseline's worker for the images of `lines`, in their order."""
    images, out = job.scratch / "images", job.scratch / "answer.json"
    write_images(lines, images)
    command = [str(bin_folder / "python"), "-m", job.baseline.worker, str(images), str(out)]
    log = job.scratch / "reading.log"
    seconds = START_SECONDS + SECONDS_PER_LINE * len(lines)
    run_program([*command, job.baseline.argument], log, seconds, _environ(), cwd=job.scratch)
    answer: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return answer


def _environ() -> dict[str, str]:
    """Return the variables of a baseline's process: one thread, and where it imports netchu."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
    return {
        **dict.fromkeys(names, "1"),
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


def _note(answers: Iterable[Any]) -> str:
    failed = sum(bool(failure) for *_, failure in answers)
    return f"lines on which it failed, which count as read empty: {failed}" if failed else ""
