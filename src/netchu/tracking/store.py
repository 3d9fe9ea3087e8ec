"""Recording of runs in MLflow; the only module that imports it.

Stage outputs never depend on MLflow: a tracking server that is down causes a warning, and no stage
fails. `location.py` says where runs go. Every execution of a stage is one run in the experiment of
its profile; a training run and the evaluation of its model have the same `weights` tag. Does not
import torch.
"""

from __future__ import annotations

import logging
import os
import posixpath
import random
import re
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import ParamSpec, TypeVar

# Set before mlflow is imported: short timeouts for a server that is down, and no telemetry.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_name, _value)
# Inherited from a calling run, it would make every stage write into that run.
os.environ.pop("MLFLOW_RUN_ID", None)

import mlflow  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag  # noqa: E402
from mlflow.entities import Run as MlflowRun  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

from netchu.core.errors import NetchuError  # noqa: E402
from netchu.core.params import Params  # noqa: E402
from netchu.tracking.location import (  # noqa: E402
    adopt_artifacts,
    artifact_location,
    database_lock,
    is_server,
    tracking_uri,
    without_credentials,
)
from netchu.tracking.runs import NOTE, Run  # noqa: E402

Client = MlflowClient
"""The client that `connect` yields, for annotations in other modules."""

Point = tuple[str, int, float]
"""Name, step and value of a metric."""

READINGS_FILE = "readings.json"
PARENT = "mlflow.parentRunId"
"""Tag of a run that MLflow shows below another."""

INCOMPLETE = "incomplete"
"""Tag with the parts that a run lacks, because MLflow or the disk refused them."""

# Limits of MLflow for one request, a note, a digest and a tag.
_MAX_METRICS, _MAX_PARAMS, _MAXNOTE, _MAX_DIGEST, _MAX_TAG = 1000, 100, 8000, 36, 5000
_CONFLICTS = (
    "database is locked",
    "UNIQUE constraint failed",
    "psycopg.errors.UniqueViolation",
    "psycopg.errors.DeadlockDetected",
)
"""What an error of MLflow says if another process writes at the same time."""

_CONFLICT_SECONDS = 60.0
"""How long a write is tried again while other processes write."""

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")


def track_run(params: Params, run: Run) -> None:
    """Record a run like `record_run`, but a failure only prints one line to stderr."""
    try:
        record_run(params, run)
    except Exception as error:
        # Whatever fails here, the stage's files are already written.
        warn_untracked(run.name, error)


def warn_untracked(name: str, error: Exception) -> None:
    """Print one line that says which run is not tracked, where and why."""
    uri = without_credentials(tracking_uri())
    print(f"netchu: {name} is not tracked, {uri}: {reason(error)}", file=sys.stderr)


def record_run(params: Params, run: Run, run_id: str | None = None) -> str:
    """Write a finished run and the tags of its experiment; return the run's id.

    A run that had ended keeps its duration.

    What MLflow or the disk refuses is left out: one line names it, and so does a tag of the run.

    Args:
        params: of the profile.
        run: what is written.
        run_id: a run that is completed, instead of a new one.

    Raises:
        Exception: the run cannot be created or completed.
    """
    with quiet():
        client = open_client()
        experiment = experiment_id(client, params)
        for key, value in run.experiment_tags.items():
            retry_conflicts(client.set_experiment_tag, experiment, key, _truncate(value))
        if run_id is None:
            run_id = create_run(client, experiment, run.name, run.seconds)
        missing = _write(client, run_id, params, run)
        before = retry_conflicts(client.get_run, run_id).info
        ended = before.end_time if before.status != "RUNNING" else None  # now
        retry_conflicts(client.set_terminated, run_id, "FINISHED", ended)
    if missing:
        uri = without_credentials(tracking_uri())
        parts = "; ".join(f"{part}: {why}" for part, why in missing.items())
        print(f"netchu: {run.name} is tracked incompletely, {uri}: {parts}", file=sys.stderr)
    return run_id


def create_run(client: MlflowClient, experiment: str, name: str, seconds: float = 0.0) -> str:
    """Return the id of a new run that began `seconds` ago."""
    begin = int((time.time() - seconds) * 1000)
    if variant := os.environ.get("DVC_EXP_NAME"):
        name = f"{name} ({variant})"
    run = retry_conflicts(client.create_run, experiment, begin, run_name=name)
    return str(run.info.run_id)


def _write(client: MlflowClient, run_id: str, params: Params, run: Run) -> dict[str, str]:
    """Write what the run lacks; return the reasons for parts that are refused, by part."""
    present = retry_conflicts(client.get_run, run_id)
    missing = {}
    tags = dict(run.tags) | {"content": run.content}
    tags |= {NOTE: _truncate(run.note)} if run.note else {}
    points = [*run.curves, *((name, 0, value) for name, value in run.metrics.items())]
    parts: dict[str, Callable[[], None]] = {
        "tags": lambda: log_tags(client, run_id, tags),
        "parameters": lambda: log_params(client, run_id, params, run.params, present.data.params),
        "metrics": lambda: log_points(client, run_id, points, known=set(present.data.metrics)),
        "datasets": lambda: _log_datasets(client, run_id, params, run),
        "files": lambda: _log_files(client, run_id, run.files),
        "readings": lambda: _log_readings(client, run_id, run.readings),
        "links": lambda: _adopt_training_runs(client, present.info.experiment_id, run_id, run),
    }
    for part, write in parts.items():
        try:
            retry_conflicts(write)
        except Exception as error:
            missing[part] = reason(error)
    if missing:
        client.set_tag(run_id, INCOMPLETE, ", ".join(missing))
    elif INCOMPLETE in present.data.tags:
        client.delete_tag(run_id, INCOMPLETE)
    return missing


def _adopt_training_runs(client: MlflowClient, experiment: str, run_id: str, run: Run) -> None:
    """Make the newest training runs that led to the weights children of their evaluation.

    MLflow shows them folded below it. A pretraining that several systems start from goes
    to the one that it is named after.
    """
    for weights in filter(None, run.training):
        query = f"tags.weights = '{weights}' and tags.stage != 'evaluate'"
        for trained in client.search_runs([experiment], query, max_results=1):
            own = trained.data.tags.get("system") == run.tags.get("system")
            if own or PARENT not in trained.data.tags:
                retry_conflicts(client.set_tag, trained.info.run_id, PARENT, run_id)


def log_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Set the tags of a run that are not empty."""
    given = [RunTag(key, value[:_MAX_TAG]) for key, value in tags.items() if key != NOTE and value]
    given += [RunTag(NOTE, tags[NOTE])] if NOTE in tags else []
    client.log_batch(run_id, tags=given)


def log_params(
    client: MlflowClient,
    run_id: str,
    params: Params,
    own: Mapping[str, object],
    present: Iterable[str] = (),
) -> None:
    """Log nested parameters, seed and compute, less the `present` ones, which cannot change."""
    nested = dict(own) | {"seed": params.seed, "compute": asdict(params.compute)}
    flat = {_valid_name(str(k)): v for k, v in pd.json_normalize(nested, sep=".").iloc[0].items()}
    logged = [Param(key, str(value)) for key, value in flat.items() if key not in set(present)]
    for start in range(0, len(logged), _MAX_PARAMS):
        client.log_batch(run_id, params=logged[start : start + _MAX_PARAMS])


def log_points(
    client: MlflowClient, run_id: str, points: Iterable[Point], known: Iterable[str] = ()
) -> None:
    """Log metrics; of those named in `known` only the steps that the run lacks."""
    now = int(time.time() * 1000)
    named = [(_valid_name(name), step, value) for name, step, value in points]
    logged = {
        name: {metric.step for metric in client.get_metric_history(run_id, name)}
        for name in {name for name, _, _ in named} & set(known)
    }
    metrics = [
        Metric(name, value, now, step)
        for name, step, value in named
        if step not in logged.get(name, ())
    ]
    for start in range(0, len(metrics), _MAX_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _MAX_METRICS])


def _log_datasets(client: MlflowClient, run_id: str, params: Params, run: Run) -> None:
    """Log the datasets of a run as MLflow shows them."""
    context = [InputTag("mlflow.data.context", run.split)]
    inputs = [
        DatasetInput(
            Dataset(name, digest[:_MAX_DIGEST], "local", str(params.lines / name)), context
        )
        for name, digest in run.datasets.items()
    ]
    if inputs:
        client.log_inputs(run_id, datasets=inputs)


def _log_files(client: MlflowClient, run_id: str, files: Iterable[Path]) -> None:
    for file in files:
        client.log_artifact(run_id, str(file))


def _log_readings(client: MlflowClient, run_id: str, readings: pd.DataFrame | None) -> None:
    # MLflow would append to a table that is there.
    present = {file.path for file in client.list_artifacts(run_id)}
    if readings is not None and READINGS_FILE not in present:
        client.log_table(run_id, readings, READINGS_FILE)


def _valid_name(name: str) -> str:
    """Return a name that MLflow takes for a parameter or metric."""
    path = posixpath.normpath(re.sub(r"[^\w\-. /]", "_", name))
    return path.lstrip("/.")[:250].rstrip("/") or "_"


@contextmanager
def system_metrics(run_id: str) -> Iterator[None]:
    """Log the use of CPU, memory, disk and GPU to a run while the block runs."""
    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=tracking_uri())
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def find_run(client: MlflowClient, run_id: str) -> MlflowRun | None:
    """Return a run; None if there is no such run any more."""
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def running(client: MlflowClient, experiment: str, system: str, stage: str) -> list[MlflowRun]:
    """Return the runs of a stage that have not ended."""
    query = f"attributes.status = 'RUNNING' and tags.system = '{system}' and tags.stage = '{stage}'"
    return list(client.search_runs([experiment], query))


def reopen_run(client: MlflowClient, run_id: str, error_tag: str) -> None:
    """Make a run RUNNING again, without the tag of the error that ended it."""
    run = client.get_run(run_id)
    retry_conflicts(client.update_run, run_id, status="RUNNING")
    if error_tag in run.data.tags:
        retry_conflicts(client.delete_tag, run_id, error_tag)


def last_steps(client: MlflowClient, run_id: str) -> dict[str, int]:
    """Return the last step of each metric of a run."""
    return {
        name: max(metric.step for metric in client.get_metric_history(run_id, name))
        for name in client.get_run(run_id).data.metrics
        if not name.startswith("system/")
    }


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
    client = open_client()
    before = client.get_run(run_id).info
    try:
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name="reader",
                loader_module="netchu.tracking.pyfunc",
                data_path=str(folder),
                signature=signature,
                pip_requirements=["netchu"],
                registered_model_name=name,
            )
    finally:
        # MLflow ends the run anew, with a duration until now, and as FAILED after an error.
        client.set_terminated(run_id, before.status, before.end_time)
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
        with quiet():
            yield open_client()
    except NetchuError:
        raise
    except Exception as error:
        remedy = "start the server" if is_server() else "move the database away"
        raise NetchuError(
            f"cannot {task} at {without_credentials(tracking_uri())}: {reason(error)}; {remedy}, "
            "or set MLFLOW_TRACKING_URI to another one"
        ) from None


def open_client() -> MlflowClient:
    """Return a client of the tracking server or database.

    MLflow creates the tables of a new database when it is opened, and two processes that do so at
    once both fail. Therefore one at a time opens it.
    """
    uri = tracking_uri()
    with database_lock(uri):
        adopt_artifacts(uri)
        return MlflowClient(uri)


def retry_conflicts(
    call: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """Return the result of a call, tried again while other processes write to the database.

    SQLite is locked meanwhile, and two writers of the same new tag fail on any database.
    """
    end = time.monotonic() + _CONFLICT_SECONDS
    while True:
        try:
            return call(*args, **kwargs)
        except MlflowException as error:
            conflict = any(text in str(error) for text in _CONFLICTS)
            exists = error.error_code == "RESOURCE_ALREADY_EXISTS"
            if not conflict or exists or time.monotonic() > end:
                raise
            time.sleep(random.uniform(0.1, 1.0))


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


def experiment_id(client: MlflowClient, params: Params) -> str:
    """Return the id of the profile's experiment, which is created on first use.

    Raises:
        NetchuError: the experiment was deleted in MLflow.
    """
    name = experiment_name(params)

    def find() -> str | None:
        found = client.get_experiment_by_name(name)
        if found and found.lifecycle_stage != "active":
            raise NetchuError(
                f"the experiment {name} is deleted; restore it with "
                f"'mlflow experiments restore -x {found.experiment_id}'"
            )
        return str(found.experiment_id) if found else None

    if experiment := find():
        return experiment
    # MLflow 3.17 opens on its pages for chat models nevertheless, see `netchu ui`.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    location = artifact_location(tracking_uri())
    try:
        return str(retry_conflicts(client.create_experiment, name, location, kind))
    except MlflowException:
        # Another stage may have created it in the meantime.
        if experiment := find():
            return experiment
        raise


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the log messages and warnings of MLflow and of its database migrations."""
    with quiet_loggers(), warnings.catch_warnings(action="ignore"):
        yield


@contextmanager
def quiet_loggers() -> Iterator[None]:
    """Silence the log messages alone; unlike the warnings, a thread may do so."""
    loggers = [logging.getLogger(name) for name in ("alembic", "mlflow", "urllib3")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def reason(error: Exception) -> str:
    """Return an error in one line, after the server's version if that differs from this one."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # SQLAlchemy puts a remark on flushing before the error of the database.
    line = next((line for line in lines if "sqlite3." in line), lines[0])
    message = without_credentials(line)[:200]
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


def _truncate(text: str) -> str:
    """Return as many whole lines of a text as a note can hold."""
    return text if len(text) <= _MAXNOTE else text[:_MAXNOTE].rpartition("\n")[0]
