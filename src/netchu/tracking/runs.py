"""What MLflow shows of a stage, collected from the stage's files. Does not import MLflow."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.files import read_json
from netchu.core.params import Params
from netchu.core.paths import CARD
from netchu.training.stage_info import cost_file, stage_phases

CURVES = ("train_loss", "val_loss", "val_cer", "learning_rate")
"""Columns of history.csv that are logged step by step."""

LAST_METRICS = {"val_cer": "best_val_cer"}
"""Names in MLflow of what the card says of the last phase, where a curve has the card's name."""

REPRODUCE = "run 'dvc repro'"
"""Remedy for a missing or damaged file of a stage."""

NOTE = "mlflow.note.content"
"""Tag of a run or an experiment that MLflow shows as its description."""

_WEIGHTS = (".safetensors", ".onnx")


@dataclass(frozen=True)
class Run:
    """One execution of a stage.

    Attributes:
        name: of the run.
        tags: by which runs are searched and grouped.
        params: nested parameters.
        metrics: final values by name.
        curves: values (name, step, value).
        files: artifacts.
        note: description of the run in Markdown.
        datasets: hash of each dataset by its name.
        split: split of the datasets that was used.
        readings: table of readings.
        seconds: duration of the stage.
        experiment_tags: tags that the run gives to its experiment.
        training: hashes of weights whose training runs become children of this run.
    """

    name: str
    tags: Mapping[str, str]
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Sequence[tuple[str, int, float]] = ()
    files: Sequence[Path] = ()
    note: str = ""
    datasets: Mapping[str, str] = field(default_factory=dict)
    split: str = ""
    readings: pd.DataFrame | None = None
    seconds: float = 0.0
    experiment_tags: Mapping[str, str] = field(default_factory=dict)
    training: Sequence[str] = ()

    @property
    def content(self) -> str:
        """Hash of the name and the files: what the stage wrote, without when and by which code."""
        digest = hashlib.sha256(self.name.encode())
        for file in self.files:
            if file.is_file():
                digest.update(f"{file.name}\0{file.stat().st_size}\0".encode() + file.read_bytes())
        return digest.hexdigest()


def system_params(params: Params, system: str, *stages: str) -> dict[str, Any]:
    """Return the config of a system's network and the parameters of each phase of some stages.

    A parameter has the same name in the runs of training and evaluation, such as
    `finetune.0.learning_rate`, so MLflow compares runs by it.
    """
    return {"model": params.system(system).model} | {
        stage: {
            str(number): asdict(phase)
            for number, phase in enumerate(stage_phases(params, system, stage))
        }
        for stage in stages
    }


def training_run(params: Params, system: str, stage: str, folder: Path) -> Run:
    """Return the run of a training stage from its model folder and the cost file beside it.

    A stage without phases, as the pretraining of a checkpoint that is only fine-tuned, is a run,
    too.
    """
    phases = stage_phases(params, system, stage)
    card = read_json(folder / CARD, REPRODUCE)
    seconds = stage_seconds(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e6
    trained = card["training"][-len(phases) :] if phases else []
    images = sum(phase["images_seen_at_most"] for phase in trained)
    # The seconds include validation.
    rate = images / seconds if seconds else None
    costs = {"size_mb": size, "train_seconds": seconds, "lines_per_second": rate}
    final = {
        LAST_METRICS.get(key, key): value for key, value in (card["training"] or [{}])[-1].items()
    }
    datasets = dict(card.get("provenance", {}).get("data", {}))
    files = [p for p in sorted(folder.glob("*")) if p.is_file() and p.suffix not in _WEIGHTS]
    return Run(
        name=f"{system} {stage}",
        tags=system_tags(params, system, stage, card) | {"data": ", ".join(sorted(datasets))},
        params=system_params(params, system, stage),
        metrics=finite_numbers(final | costs),
        curves=_curves(pd.read_csv(folder / "history.csv")),
        files=[*files, *(path for path in [cost_file(folder)] if path.is_file())],
        note=params.system(system).note,
        datasets=datasets,
        split="train",
        seconds=seconds or 0.0,
    )


def report_run(params: Params) -> Run:
    """Return the run of a profile's report; its leaderboard describes the run and the experiment.

    Raises:
        NetchuError: there is no report.
    """
    page, leaderboard = (params.report_folder / name for name in ("report.html", "leaderboard.md"))
    if not (page.is_file() and leaderboard.is_file()):
        raise NetchuError(f"{params.report_folder} holds no report; {REPRODUCE}")
    note = leaderboard.read_text(encoding="utf-8")
    return Run(
        name="report",
        tags={"stage": "report", "profile": params.profile} | source_tags("report"),
        files=[page, leaderboard],
        note=note,
        experiment_tags={NOTE: note},
    )


def stage_tags(params: Params, system: str, stage: str) -> dict[str, str]:
    """Return the tags of a run of a system that are known before the stage has written files."""
    return {
        "system": system,
        "network": params.network(system),
        "stage": stage,
        "profile": params.profile,
        "device": params.trainer.accelerator,
    } | source_tags(stage)


def system_tags(params: Params, system: str, stage: str, card: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a run of a system; `card` describes its weights."""
    data = json.dumps(card.get("provenance", {}).get("data", ""), sort_keys=True)
    return stage_tags(params, system, stage) | {
        "trained_on": ", ".join(_training_datasets(card)),
        "data_hash": hashlib.sha256(data.encode()).hexdigest(),
        "weights": str(card["weights"]),
    }


def _training_datasets(card: Mapping[str, Any]) -> list[str]:
    """Return the datasets of all phases that led to the weights."""
    phases = [done.get("phase", {}) for done in card.get("training", [])]
    return sorted({name for phase in phases for name in phase.get("datasets", ())})


def source_tags(stage: str) -> dict[str, str]:
    """Return tags with the stage script, DVC's name of the experiment, and the git commit."""
    tags = {"mlflow.source.name": f"stages/{stage}.py", "mlflow.source.type": "LOCAL"}
    tags["dvc_experiment"] = os.environ.get("DVC_EXP_NAME", "")
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "src", "stages")
    if commit is None or changes is None:
        return tags | {"git_commit": "unknown"}
    if changes:
        return tags | {"git_commit": f"{commit} and changes"}
    return tags | {"git_commit": commit, "mlflow.source.git.commit": commit}


def _git(*arguments: str) -> str | None:
    """Return the output of git; None without git or outside a working tree."""
    command = ["git", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def stage_seconds(folder: Path) -> float | None:
    """Return the duration of the training stage that wrote `folder`; None if it is unknown."""
    cost = cost_file(folder)
    return float(read_json(cost, REPRODUCE)["seconds"]) if cost.is_file() else None


def finite_numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the entries of `values` that are finite numbers; MLflow takes no others."""
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _curves(history: pd.DataFrame) -> list[tuple[str, int, float]]:
    """Return the curves over optimiser steps of all phases together, without missing values."""
    # Each phase counts its steps from the start; those of the phases before are added.
    last = history.groupby("phase")["step"].max()
    steps = history["step"] + history["phase"].map(last.shift(fill_value=0).cumsum())
    return [
        (key, int(step), float(value))
        for key in CURVES
        for step, value in zip(steps, history[key], strict=True)
        if math.isfinite(value)
    ]
