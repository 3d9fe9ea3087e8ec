"""Recording of runs in MLflow; the only module that imports it.

Stage outputs never depend on MLflow: a tracking server that is down causes a warning, and no stage
fails. Runs go to sqlite:///mlflow.db in the working directory unless MLFLOW_TRACKING_URI is set.
Every execution of a stage is one run in the experiment of its profile; a training run and the
evaluation of its model have the same `weights` tag. Does not import torch.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

# Set before mlflow is imported: short timeouts for a server that is down, and no telemetry.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_name, _value)
# Inherited from a calling run, it would make every stage write into that run.
os.environ.pop("MLFLOW_RUN_ID", None)

import mlflow  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

from netchu.core.errors import NetchuError  # noqa: E402
from netchu.core.params import Params  # noqa: E402
from netchu.core.runtime import is_main_process  # noqa: E402
from netchu.tracking.runs import Run, report_run, training_run  # noqa: E402

Client = MlflowClient
"""The client that `connect` yields, for annotations in other modules."""

STORE = "sqlite:///mlflow.db"
ARTIFACTS = Path("mlartifacts")
READINGS_FILE = "readings.json"
_NOTE = "mlflow.note.content"
# Limits of MLflow for one request, a note and a digest.
_MAX_METRICS, _MAX_PARAMS, _MAX_NOTE, _MAX_DIGEST = 1000, 100, 8000, 36


def track_training(params: Params, system: str, stage: str, folder: Path) -> None:
    """Record a training stage from its model folder; only the main process of several does."""
    if is_main_process():
        track_run(params, training_run(params, system, stage, folder))


def track_report(params: Params, folder: Path) -> None:
    """Record the report in `folder`; the leaderboard becomes the experiment's description."""
    run = report_run(params, folder)
    track_run(params, run, {_NOTE: _truncate(run.note)})


def track_run(params: Params, run: Run, experiment_tags: Mapping[str, str] | None = None) -> None:
    """Record a run like `record_run`, but a failure only prints one line to stderr."""
    try:
        record_run(params, run, experiment_tags)
    except Exception as error:
        # Whatever fails here, the stage's files are already written.
        uri = without_credentials(tracking_uri())
        print(f"netchu: not tracked, {uri}: {_reason(error)}", file=sys.stderr)


def record_run(params: Params, run: Run, experiment_tags: Mapping[str, str] | None = None) -> str:
    """Write a finished run and set tags of its experiment; return the run's id."""
    with _quiet():
        client = MlflowClient(tracking_uri())
        experiment = _experiment(client, params)
        for key, value in (experiment_tags or {}).items():
            client.set_experiment_tag(experiment, key, value)
        begin = int((time.time() - run.seconds) * 1000)
        run_id = str(client.create_run(experiment, begin, run_name=run.name).info.run_id)
        status = "FAILED"
        try:
            _log(client, run_id, params, run)
            status = "FINISHED"
        finally:
            client.set_terminated(run_id, status)
    return run_id


def _log(client: MlflowClient, run_id: str, params: Params, run: Run) -> None:
    tags = {key: value for key, value in run.tags.items() if value}
    tags |= {_NOTE: _truncate(run.note)} if run.note else {}
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    nested = dict(run.params) | {"seed": params.seed, "compute": asdict(params.compute)}
    flat = pd.json_normalize(nested, sep=".").iloc[0]
    logged = [Param(str(key), str(value)) for key, value in flat.items()]
    for start in range(0, len(logged), _MAX_PARAMS):
        client.log_batch(run_id, params=logged[start : start + _MAX_PARAMS])
    points = [*run.curves, *((name, 0, value) for name, value in run.metrics.items())]
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, step, value in points]
    for start in range(0, len(metrics), _MAX_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _MAX_METRICS])
    if run.datasets:
        client.log_inputs(run_id, datasets=_inputs(params, run))
    for file in run.files:
        client.log_artifact(run_id, str(file))
    if run.readings is not None:
        client.log_table(run_id, run.readings, READINGS_FILE)


def _inputs(params: Params, run: Run) -> list[DatasetInput]:
    """Return the datasets of a run as MLflow shows them."""
    context = [InputTag("mlflow.data.context", run.split)]
    return [
        DatasetInput(
            Dataset(name, digest[:_MAX_DIGEST], "local", str(params.lines / name)), context
        )
        for name, digest in run.datasets.items()
    ]


def log_reader(run_id: str, folder: Path, name: str) -> str:
    """Log the exported model in `folder` to a run and register it as `name`; return its version.

    MLflow loads it through `netchu.tracking.pyfunc`, without pickle.
    """
    # Slow to import, and no stage needs them.
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    mlflow.set_tracking_uri(tracking_uri())
    signature = ModelSignature(
        Schema([ColSpec("binary", "image")]),
        Schema([ColSpec("string", "text"), ColSpec("double", "confidence")]),
        ParamSchema([ParamSpec("line", "boolean", False)]),
    )
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name="reader",
            loader_module="netchu.tracking.pyfunc",
            data_path=str(folder),
            signature=signature,
            pip_requirements=["netchu"],
            registered_model_name=name,
        )
    return str(logged.registered_model_version)


def download_model(uri: str) -> Path:
    """Download an exported model and return its folder.

    Args:
        uri: of MLflow: models:/NAME@ALIAS, models:/NAME/VERSION or runs:/RUN_ID/PATH.

    Raises:
        NetchuError: the server cannot be reached, has no such model, or the model is not exported.
    """
    with connect(f"download {uri}"):
        mlflow.set_tracking_uri(tracking_uri())
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    folders = sorted(path.parent for path in folder.rglob("model.onnx"))
    if not folders:
        raise NetchuError(f"{uri} holds no exported model; name one that 'netchu register' made")
    return folders[0]


@contextmanager
def connect(task: str) -> Iterator[MlflowClient]:
    """Yield a client of the tracking server and turn its errors into NetchuError.

    Args:
        task: what the client is used for, for the error message.

    Raises:
        NetchuError: the server cannot be reached, has an incompatible version, or refuses.
    """
    try:
        with _quiet():
            yield MlflowClient(tracking_uri())
    except NetchuError:
        raise
    except Exception as error:
        raise NetchuError(
            f"cannot {task} at {without_credentials(tracking_uri())}: {_reason(error)}; start the "
            "server, or set MLFLOW_TRACKING_URI to another one"
        ) from None


def experiment_name(params: Params) -> str:
    """Return the name of a profile's experiment and registered model."""
    return f"netchu-{params.profile}"


def experiment_ids() -> dict[str, str]:
    """Return the ids of all profiles' experiments by name.

    Raises:
        NetchuError: the server cannot be reached.
    """
    with connect("list the experiments") as client:
        experiments = client.search_experiments(
            filter_string="name LIKE 'netchu-%'", order_by=["name"]
        )
        return {experiment.name: str(experiment.experiment_id) for experiment in experiments}


def _experiment(client: MlflowClient, params: Params) -> str:
    """Return the id of the profile's experiment, which is created on first use."""
    name = experiment_name(params)
    if experiment := client.get_experiment_by_name(name):
        return str(experiment.experiment_id)
    location = ARTIFACTS.resolve().as_uri() if tracking_uri().startswith("sqlite:") else None
    # MLflow 3.17 opens on its pages for chat models nevertheless, see `netchu ui`.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=location, tags=kind))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log messages and warnings of MLflow and of its database migrations."""
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


def tracking_uri() -> str:
    """Return where runs go: a server, or a database in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or STORE


def is_server() -> bool:
    """Return whether runs go to a server, and not to a database of this machine."""
    return tracking_uri().startswith(("http://", "https://"))


def _reason(error: Exception) -> str:
    """Return an error in one line, after the server's version if that differs from this one."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    message = without_credentials(lines[0])[:200]
    version = _server_version()
    if version and version != mlflow.__version__:
        return f"it runs MLflow {version}, and this is {mlflow.__version__} ({message})"
    return message


def _server_version() -> str:
    """Return the version of MLflow on the server; "" if no server answers."""
    if not is_server():
        return ""
    try:
        with urllib.request.urlopen(f"{tracking_uri().rstrip('/')}/version", timeout=5) as answer:
            version = answer.read(100).decode("ascii", "replace").strip()
    except (OSError, ValueError):
        return ""
    return version if re.fullmatch(r"\d[\w.]*", version) else ""


def without_credentials(text: str) -> str:
    """Return a text without the user names and passwords of its URLs."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _truncate(text: str) -> str:
    """Return as many whole lines of a text as a note can hold."""
    return text if len(text) <= _MAX_NOTE else text[:_MAX_NOTE].rpartition("\n")[0]
