"""MLflow, the window on what the stages did; the only module that imports it.

Files are the truth: a tracking server that is down costs a warning, never a stage. Runs go to
sqlite:///mlflow.db in the working directory unless MLFLOW_TRACKING_URI says otherwise. Every
execution of a stage is one flat run; a training run and the evaluation of what it made carry the
same `weights` tag.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Set before mlflow loads: short waits for a server that is down, and nothing sent home.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_name, _value)
# Left over from a calling run, it would turn every stage into that run.
os.environ.pop("MLFLOW_RUN_ID", None)

import mlflow  # noqa: E402
import pandas as pd  # noqa: E402
from lightning.pytorch.utilities import rank_zero_only  # noqa: E402
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.models import ModelSignature  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from mlflow.types import ColSpec, Schema  # noqa: E402

from netchu.checkpoint import read_card, weight_files  # noqa: E402
from netchu.errors import NetchuError  # noqa: E402
from netchu.params import Params  # noqa: E402

STORE = "sqlite:///mlflow.db"
ARTIFACTS = Path("mlartifacts")
CURVES = ("train_loss", "val_loss", "val_cer", "learning_rate")
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # that MLflow takes at once
_WEIGHTS = (".safetensors", ".onnx")


def track_training(params: Params, system: str, stage: str, folder: Path) -> None:
    """Record a training stage from its model directory; of several processes the first does."""
    if getattr(rank_zero_only, "rank", 0) != 0:
        return
    settings = params.system(system)
    phases = settings.pretrain if stage == "pretrain" else settings.finetune
    recorded = {
        "model": settings.model,
        "phase": {str(number): asdict(phase) for number, phase in enumerate(phases)},
    }
    card = read_card(folder)
    curves = _curves(pd.read_csv(folder / "history.csv"))
    files = [p for p in sorted(folder.glob("*")) if p.is_file() and p.suffix not in _WEIGHTS]
    tags = _tags(params, system, stage, card)
    metrics = _points(_training_numbers(folder, card)) + curves
    _try_to_track(lambda: _record(params, tags, recorded, metrics, files))


def _training_numbers(folder: Path, card: dict[str, Any]) -> dict[str, float]:
    """Size, time, and the last phase's own numbers, where a stage has a phase at all."""
    phases = card["training"]
    cost = folder.with_name(folder.name + ".cost.json")
    numbers = {
        "size_mb": sum(p.stat().st_size for p in weight_files(folder)) / 1e6,
        **_numbers(phases[-1] if phases else {}),
    }
    if cost.is_file():
        numbers["train_seconds"] = float(json.loads(cost.read_text(encoding="utf-8"))["seconds"])
    return numbers


def track_evaluation(
    params: Params,
    system: str,
    metrics: dict[str, Any],
    speed: dict[str, Any],
    card: dict[str, Any],
    seconds: float,
    files: Sequence[Path],
) -> None:
    """Record an evaluation: overall and per dataset and level, size, speed, time, and `files`.

    Beside them stands the time both training stages took, where their costs are known.
    """
    latency = {key: value for key, value in speed.items() if key.startswith("latency")}
    numbers = _numbers(metrics["overall"] | latency)
    numbers |= _numbers({key: metrics[key] for key in ("size_mb", "parameters")})
    for dataset, levels in metrics["datasets"].items():
        for level, rates in levels.items():
            numbers |= {f"{dataset}/{level}/{k}": v for k, v in _numbers(rates).items()}
    for variant, rates in metrics["variants"].items():
        numbers |= {f"{variant}/{k}": v for k, v in _numbers(rates["overall"]).items()}
    numbers["evaluate_seconds"] = seconds
    if (training := training_seconds(Path("models") / params.profile / system)) is not None:
        numbers["train_seconds"] = training
    settings = {"model": params.system(system).model, "evaluate": asdict(params.evaluate)}
    tags = _tags(params, system, "evaluate", card)
    _try_to_track(lambda: _record(params, tags, settings, _points(numbers), files))


def training_seconds(folder: Path) -> float | None:
    """Seconds that the training stages of the system in `folder` took; None where none is known."""
    costs = [folder / f"{stage}.cost.json" for stage in ("pretrain", "finetune")]
    known = [json.loads(c.read_text(encoding="utf-8"))["seconds"] for c in costs if c.is_file()]
    return float(sum(known)) if known else None


def register(
    params: Params, system: str, card: dict[str, Any], folder: Path, loader_module: str, name: str
) -> str:
    """Log the model directory `folder` as a pyfunc model and register it; return the version.

    It joins the evaluation run with the same weights where there is one. The version gets the
    alias `champion`. `loader_module` gives `_load_pyfunc(path)`.

    Raises:
        NetchuError: the tracking server cannot be reached or refuses.
    """
    try:
        return _register(params, system, card, folder, loader_module, name)
    except Exception as error:
        raise NetchuError(
            f"{_uri()} did not register {system}: {_first_line(error)}; start the server or unset "
            "MLFLOW_TRACKING_URI"
        ) from None


def _register(
    params: Params, system: str, card: dict[str, Any], folder: Path, loader_module: str, name: str
) -> str:
    with _quiet():
        client = MlflowClient(_uri())
        experiment = _experiment(client, params)
        tags = _tags(params, system, "evaluate", card)
        found = client.search_runs(
            [experiment], f"tags.stage = 'evaluate' and tags.weights = '{tags['weights']}'"
        )
        if found:
            run_id = found[0].info.run_id
        else:
            run_id = _record(params, tags | {"stage": "register"}, {}, [], [])
        mlflow.set_tracking_uri(_uri())
        signature = ModelSignature(
            Schema([ColSpec("binary", "image")]),
            Schema([ColSpec("string", "text"), ColSpec("double", "confidence")]),
        )
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name=name,
                loader_module=loader_module,
                data_path=str(folder),
                signature=signature,
                pip_requirements=["netchu[train]"],
                registered_model_name=name,
            )
        version = str(logged.registered_model_version)
        client.set_registered_model_alias(name, "champion", version)
    return version


def _record(
    params: Params,
    tags: dict[str, str],
    settings: dict[str, Any],
    metrics: Sequence[Metric],
    files: Sequence[Path],
) -> str:
    """Write one finished run; return its id."""
    with _quiet():
        client = MlflowClient(_uri())
        run = client.create_run(
            _experiment(client, params), run_name=f"{tags['system']}-{tags['stage']}"
        )
        run_id = str(run.info.run_id)
        settings = settings | {"seed": params.seed, "compute": asdict(params.compute)}
        flat = pd.json_normalize(settings, sep=".").iloc[0]
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        logged = [Param(str(key), str(value)) for key, value in flat.items()]
        for start in range(0, len(logged), _MOST_PARAMS):
            client.log_batch(run_id, params=logged[start : start + _MOST_PARAMS])
        for start in range(0, len(metrics), _MOST_METRICS):
            client.log_batch(run_id, metrics=metrics[start : start + _MOST_METRICS])
        for file in files:
            client.log_artifact(run_id, str(file))
        client.set_terminated(run_id)
    return run_id


def _tags(params: Params, system: str, stage: str, card: dict[str, Any]) -> dict[str, str]:
    provenance = card.get("provenance", {})
    return {
        "system": system,
        "stage": stage,
        "profile": params.profile,
        "git_commit": _git_commit(),
        "device": params.trainer.accelerator,
        "data": _digest(provenance.get("data", "")),
        "weights": str(card["weights"]),
    }


def _experiment(client: MlflowClient, params: Params) -> str:
    """Id of the profile's experiment; with the default store its artifacts lie beside it."""
    name = f"netchu-{params.profile}"
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    beside = ARTIFACTS.resolve().as_uri() if _uri().startswith("sqlite:") else None
    # Without it the UI opens on its pages for chat models instead of on the runs.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=beside, tags=tags))


def _try_to_track(record: Callable[[], object]) -> None:
    try:
        record()
    except Exception as error:
        # Whatever the tracker has against it, the stage's files are already written.
        print(f"netchu: not tracked, {_uri()}: {_first_line(error)}", file=sys.stderr)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's and its migrations' remarks off the progress bars."""
    loggers = [logging.getLogger(name) for name in ("alembic", "mlflow", "urllib3")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or STORE


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _git_commit() -> str:
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _digest(value: Any) -> str:
    """One hash for the hashes of several tables."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """The finite numbers among `values`."""
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _points(numbers: dict[str, float]) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(key, value, now, 0) for key, value in numbers.items()]


def _curves(history: pd.DataFrame) -> list[Metric]:
    """Curves over optimiser steps counted through all phases; holes are left out."""
    now = int(time.time() * 1000)
    # A phase starts counting anew; what came before it is added.
    before = history["step"].shift(fill_value=0)
    steps = history["step"] + before.where(history["step"] < before, 0).cumsum()
    return [
        Metric(key, float(value), now, int(step))
        for key in CURVES
        for step, value in zip(steps, history[key], strict=True)
        if math.isfinite(value)
    ]
