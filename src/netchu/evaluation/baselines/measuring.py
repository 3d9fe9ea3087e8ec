"""A baseline's row of the table: what it reads on the lines that every system reads, and how fast."""

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
from netchu.core.params import Params, parse_config
from netchu.core.text import normalise
from netchu.evaluation.baselines.base import Baseline, UnavailableError
from netchu.evaluation.baselines.catalogue import BASELINES
from netchu.evaluation.baselines.environments import HOME, programs
from netchu.evaluation.baselines.exporting import BaselineParams, write_images, write_training_lines
from netchu.evaluation.baselines.processes import run
from netchu.evaluation.eval_subset import COLUMNS, MAIN, chosen_lines
from netchu.evaluation.latency import HEIGHT, REPEATS, WIDTHS, latency, machine, ruler
from netchu.evaluation.metrics.rates import DIGITS
from netchu.evaluation.metrics.summary import summaries
from netchu.evaluation.metrics_io import write_figures

LEVELS = ("word", "line")
"""What a baseline is given to read; paragraphs are for those that find lines."""

STARTING, PER_LINE = 600, 20
"""Seconds: for a network to be made or loaded, and what a line may take on average."""

SOURCE = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Job:
    """One baseline, what params.yaml wants of it, and a scratch folder."""

    params: Params
    name: str
    baseline: Baseline
    wanted: BaselineParams
    scratch: Path

    @property
    def learns(self) -> bool:
        """Whether the baseline is trained here."""
        return self.baseline.commands is not None


def measure_baseline(params: Params, name: str, out: Path) -> dict[str, Any]:
    """Let the baseline `name` read the test lines; write its row into a fresh folder `out`.

    metrics.json has the shape of an evaluation's and `why`, which is '' or tells why there are no
    rates; predictions.parquet and speed.json are there if there is something in them. Returns the
    metrics.

    Raises:
        NetchuError: params.yaml names no such baseline, or not what it learns from.
    """
    job = _job(params, name)
    partial = out.with_name(out.name + ".part")
    for place in (partial, job.scratch):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    try:
        try:
            metrics = _empty(job) | _measure(job, partial)
        except UnavailableError as error:
            metrics = _empty(job) | {"why": str(error)}
        write_figures(metrics, partial / "metrics.json")
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    finally:
        for place in (partial, job.scratch):
            shutil.rmtree(place, ignore_errors=True)
    return metrics


def _job(params: Params, name: str) -> Job:
    if name not in BASELINES:
        raise NetchuError(f"unknown baseline {name!r}; there are: {', '.join(BASELINES)}")
    if name not in params.baselines:
        raise NetchuError(f"params.yaml wants no baseline {name!r}; put it under baselines")
    wanted = parse_config(BaselineParams, params.baselines[name], f"params.yaml baselines.{name}")
    job = Job(params, name, BASELINES[name], wanted, (HOME / name / "scratch").resolve())
    given = bool(job.wanted.datasets and job.wanted.minutes > 0)
    if job.learns and not given:
        raise NetchuError(f"baselines.{name} learns: give it datasets and minutes in params.yaml")
    if not job.learns and job.wanted != BaselineParams():
        raise NetchuError(f"baselines.{name} learns nothing: write '{name}: {{}}' in params.yaml")
    return job


def _empty(job: Job) -> dict[str, Any]:
    """The row of a baseline of which nothing is known."""
    return {
        "baseline": True,
        "system": job.name,
        "profile": job.params.profile,
        "seed": job.params.seed,
        "main": MAIN,
        "variants": {},
        "training": [],
        **dict.fromkeys(("version", "why", "note", "hub_note"), ""),
        **dict.fromkeys(("size_mb", "memory_mb", "parameters")),
    }


def _measure(job: Job, out: Path) -> dict[str, Any]:
    """All of a row; writes what goes with it into `out`."""
    lines = chosen_lines(job.params)
    bin_folder = programs(job.baseline.environment)
    training = [_train(job, bin_folder)] if job.learns else []
    whole = lines[lines["level"] == "line"].iloc[: job.params.evaluate.latency_lines]
    wanted = whole if job.baseline.unread else lines[lines["level"].isin(LEVELS)]
    rulers = [ruler(whole, width) for width in WIDTHS for _ in range(REPEATS)]
    told = _read(job, bin_folder, pd.concat([wanted, *rulers], ignore_index=True))
    read = wanted.assign(answer=told["lines"][: len(wanted)])
    speed = _speed(read.loc[whole.index, "answer"], told["lines"][len(wanted) :])
    write_figures(speed | {"isa": job.params.compute.isa}, out / "speed.json")
    row = {"training": training, "note": _note(training, read["answer"])} | {
        key: told[key] for key in ("version", "size_mb", "parameters")
    }
    if job.baseline.unread:
        return row | {"why": job.baseline.unread}
    predictions = _predictions(read)
    predictions.to_parquet(out / "predictions.parquet", index=False)
    chosen = job.params.evaluate
    return row | summaries(predictions, chosen.datasets, chosen.resamples, job.params.seed)


def _train(job: Job, bin_folder: Path) -> dict[str, Any]:
    """Let a baseline learn for its minutes; the checkpoints lie in the scratch folder's `model`."""
    assert job.baseline.commands is not None
    lines, model = job.scratch / "lines", job.scratch / "model"
    model.mkdir()
    count = write_training_lines(job.params, job.wanted, lines, job.baseline.height)
    threads = job.params.compute.threads
    log = HOME / job.name / "training.log"
    *first, last = job.baseline.commands(lines, model, bin_folder, threads)
    for command in first:
        run(command, log, STARTING, _environ(threads), place=model)
    seconds = round(60 * job.wanted.minutes, 1)
    run(last, log, seconds, _environ(threads), place=model, endless=True)
    return {"stage": "train", "seconds": seconds, "lines": count, "threads": threads}


def _read(job: Job, bin_folder: Path, lines: pd.DataFrame) -> dict[str, Any]:
    """What the baseline's process answers for the images of `lines`, in their order."""
    images, answer = job.scratch / "images", job.scratch / "answer.json"
    write_images(lines, images, job.baseline.height)
    argument = str(job.scratch / "model") if job.learns else job.baseline.argument
    command = [str(bin_folder / "python"), "-m", job.baseline.worker, str(images), str(answer)]
    log = images.parent.with_name("reading.log")
    seconds = STARTING + PER_LINE * len(lines)
    run([*command, argument], log, seconds, _environ(1), place=job.scratch)
    told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return told


def _environ(threads: int) -> dict[str, str]:
    """Variables of a baseline's process: its threads, and where its side of `base` is imported from."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
    return {
        **dict.fromkeys(names, str(threads)),
        "PYTHONPATH": str(SOURCE),
        "PYTHONUTF8": "1",
        "VIRTUAL_ENV": "",
        "PATH": os.environ["PATH"],
    }


def _predictions(read: pd.DataFrame) -> pd.DataFrame:
    """Rows as an evaluation's; the readings pass the same door as every text."""
    rows = read.assign(
        variant=MAIN,
        reading=[normalise(text) for text, *_ in read["answer"]],
        confidence=[round(confidence, DIGITS) for _, confidence, *_ in read["answer"]],
    )
    return rows.sort_values(["dataset", "id"], ignore_index=True)[COLUMNS]


def _speed(of_lines: Sequence[Any], of_rulers: Sequence[Any]) -> dict[str, Any]:
    """Times on one thread; what else an evaluation measures is not known of a baseline."""
    by_width = []
    for place, width in enumerate(WIDTHS):
        answers = of_rulers[place * REPEATS : (place + 1) * REPEATS]
        times = latency([milliseconds for _, _, milliseconds, _ in answers])
        by_width.append({"height": HEIGHT, "width": width, **times, "multiply_adds": None})
    return {
        **latency([milliseconds for _, _, milliseconds, _ in of_lines]),
        "threads": 1,
        "by_width": by_width,
        "throughput_lines_per_s": None,
        "throughput_threads": None,
        "device": "cpu",
        "machine": machine(),
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
