"""What the stages have to show in MLflow, gathered from their files; imports no MLflow itself."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.core.paths import CARD

CURVES = ("train_loss", "val_loss", "val_cer", "learning_rate")
_WEIGHTS = (".safetensors", ".onnx")


@dataclass(frozen=True)
class Run:
    """One execution of a stage.

    settings: nested parameters. numbers: by name. curves: (name, step, value). note: Markdown that
    stands above the run. data: line tables and a hash of each; `split` says what they served for.
    table: readings to look at. seconds: what the stage took, the run's duration.
    """

    name: str
    tags: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    curves: Sequence[tuple[str, int, float]] = ()
    files: Sequence[Path] = ()
    note: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    split: str = ""
    table: pd.DataFrame | None = None
    seconds: float = 0.0


def training_run(params: Params, system: str, stage: str, folder: Path) -> Run:
    """A training stage, from its model directory and the cost beside it.

    A stage without a phase is a run too: a checkpoint may be fine-tuned only.
    """
    settings = params.system(system)
    phases = settings.pretrain if stage == "pretrain" else settings.finetune
    card = read_json(folder / CARD)
    seconds = stage_seconds(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e6
    trained = card["training"][-len(phases) :] if phases else []
    shown = sum(phase["images_seen_at_most"] for phase in trained)
    # Validation takes its part of the seconds.
    rate = shown / seconds if seconds else None
    costs = {"size_mb": size, "train_seconds": seconds, "lines_per_second": rate}
    data = dict(card.get("provenance", {}).get("data", {}))
    return Run(
        name=f"{system} {stage}",
        tags=tags(params, system, stage, card) | {"data": ", ".join(sorted(data))},
        settings={
            "model": settings.model,
            "phase": {str(number): asdict(phase) for number, phase in enumerate(phases)},
        },
        numbers=finite((card["training"] or [{}])[-1] | costs),
        curves=_curves(pd.read_csv(folder / "history.csv")),
        files=[p for p in sorted(folder.glob("*")) if p.is_file() and p.suffix not in _WEIGHTS],
        note=settings.note,
        data=data,
        split="train",
        seconds=seconds or 0.0,
    )


def report_run(params: Params, folder: Path) -> Run:
    """The report in `folder`; its note is the table of all systems."""
    table = folder / "leaderboard.md"
    return Run(
        name="report",
        tags={"stage": "report", "profile": params.profile} | source("report"),
        files=[folder / "report.html", table],
        note=table.read_text(encoding="utf-8"),
    )


def tags(params: Params, system: str, stage: str, card: Mapping[str, Any]) -> dict[str, str]:
    """By what a run of a system is found; `card` is that of its weights."""
    data = json.dumps(card.get("provenance", {}).get("data", ""), sort_keys=True)
    return {
        "system": system,
        "network": params.network(system),
        "family": params.system(system).family,
        "stage": stage,
        "profile": params.profile,
        "device": params.trainer.accelerator,
        "trained_on": ", ".join(_trained_on(card)),
        "data_hash": hashlib.sha256(data.encode()).hexdigest(),
        "weights": str(card["weights"]),
    } | source(stage)


def _trained_on(card: Mapping[str, Any]) -> list[str]:
    """Datasets of all phases that led to the weights."""
    phases = [done.get("phase", {}) for done in card.get("training", [])]
    return sorted({name for phase in phases for name in phase.get("datasets", ())})


def source(stage: str) -> dict[str, str]:
    """A stage's doorway, and the commit if that tells all: where no code has changed since."""
    found = {"mlflow.source.name": f"stages/{stage}.py", "mlflow.source.type": "LOCAL"}
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "src", "stages")
    if commit is None or changes is None:
        return found | {"git_commit": "unknown"}
    if changes:
        return found | {"git_commit": f"{commit} and changes"}
    return found | {"git_commit": commit, "mlflow.source.git.commit": commit}


def _git(*arguments: str) -> str | None:
    """What git says; None where there is no git, or no working tree of it."""
    command = ["git", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def stage_seconds(folder: Path) -> float | None:
    """What the training stage that left `folder` took; None where it is not known."""
    cost = folder.with_name(folder.name + ".cost.json")
    return float(read_json(cost)["seconds"]) if cost.is_file() else None


def read_json(path: Path) -> Any:
    """The content of a stage's file.

    Raises:
        NetchuError: the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise NetchuError(f"{path} is missing or damaged; run 'dvc repro'") from None


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among `values`."""
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _curves(history: pd.DataFrame) -> list[tuple[str, int, float]]:
    """Curves over optimiser steps counted through all phases; holes are left out."""
    # A phase starts counting anew; what came before it is added.
    before = history["step"].shift(fill_value=0)
    steps = history["step"] + before.where(history["step"] < before, 0).cumsum()
    return [
        (key, int(step), float(value))
        for key in CURVES
        for step, value in zip(steps, history[key], strict=True)
        if math.isfinite(value)
    ]
