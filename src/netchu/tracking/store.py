"""MLflow, the window on what the stages did; the only module that imports it.

Files are the truth: a tracking server that is down costs a warning, never a stage. Runs go to
sqlite:///mlflow.db in the working directory unless MLFLOW_TRACKING_URI says otherwise. Every
execution of a stage is one flat run in the experiment of its profile; a training run and the
evaluation of what it made carry the same `weights` tag. Imports no torch.
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
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

from netchu.core.errors import NetchuError  # noqa: E402
from netchu.core.params import Params  # noqa: E402
from netchu.core.runtime import is_main_process  # noqa: E402
from netchu.tracking.runs import Run, report_run, training_run  # noqa: E402

Client = MlflowClient
"""What `connected` gives; for the annotations of others."""

STORE = "sqlite:///mlflow.db"
ARTIFACTS = Path("mlartifacts")
TABLE = "readings.json"
_NOTE = "mlflow.note.content"
_NOTHING: Mapping[str, str] = {}
# What MLflow takes at once.
_MOST_METRICS, _MOST_PARAMS, _LONGEST_NOTE, _LONGEST_DIGEST = 1000, 100, 8000, 36


def track_training(params: Params, system: str, stage: str, folder: Path) -> None:
    """Record a training stage from its model directory; of several processes the first does."""
    if is_main_process():
        track(params, training_run(params, system, stage, folder))


def track_report(params: Params, folder: Path) -> None:
    """Keep the report in `folder`; its table becomes the description of the experiment."""
    run = report_run(params, folder)
    track(params, run, {_NOTE: _cut(run.note)})


def track(params: Params, run: Run, about: Mapping[str, str] = _NOTHING) -> None:
    """Record a run, and tags `about` its experiment. A failure is one line on stderr."""
    try:
        record(params, run, about)
    except Exception as error:
        # Whatever the tracker has against it, the stage's files are already written.
        print(f"netchu: not tracked, {shown(address())}: {_reason(error)}", file=sys.stderr)


def record(params: Params, run: Run, about: Mapping[str, str] = _NOTHING) -> str:
    """Write one finished run, and tags `about` its experiment; return the run's id."""
    with _quiet():
        client = MlflowClient(address())
        experiment = _experiment(client, params)
        for key, value in about.items():
            client.set_experiment_tag(experiment, key, value)
        begin = int((time.time() - run.seconds) * 1000)
        run_id = str(client.create_run(experiment, begin, run_name=run.name).info.run_id)
        status = "FAILED"
        try:
            _fill(client, run_id, params, run)
            status = "FINISHED"
        finally:
            client.set_terminated(run_id, status)
    return run_id


def _fill(client: MlflowClient, run_id: str, params: Params, run: Run) -> None:
    kept = {key: value for key, value in run.tags.items() if value}
    kept |= {_NOTE: _cut(run.note)} if run.note else {}
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in kept.items()])
    settings = dict(run.settings) | {"seed": params.seed, "compute": asdict(params.compute)}
    flat = pd.json_normalize(settings, sep=".").iloc[0]
    logged = [Param(str(key), str(value)) for key, value in flat.items()]
    for start in range(0, len(logged), _MOST_PARAMS):
        client.log_batch(run_id, params=logged[start : start + _MOST_PARAMS])
    points = [*run.curves, *((name, 0, value) for name, value in run.numbers.items())]
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, step, value in points]
    for start in range(0, len(metrics), _MOST_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _MOST_METRICS])
    if run.data:
        client.log_inputs(run_id, datasets=_inputs(params, run))
    for file in run.files:
        client.log_artifact(run_id, str(file))
    if run.table is not None:
        client.log_table(run_id, run.table, TABLE)


def _inputs(params: Params, run: Run) -> list[DatasetInput]:
    """The line tables as MLflow shows them beside a run."""
    served = [InputTag("mlflow.data.context", run.split)]
    return [
        DatasetInput(
            Dataset(name, digest[:_LONGEST_DIGEST], "local", str(params.lines / name)), served
        )
        for name, digest in run.data.items()
    ]


def log_reader(run_id: str, folder: Path, name: str) -> str:
    """Log the exported model in `folder` to a run and register it as `name`; return its version.

    MLflow loads it through `netchu.tracking.pyfunc`, so no pickle is written.
    """
    # Slow to import, and no stage needs it.
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    mlflow.set_tracking_uri(address())
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


def model_folder(uri: str) -> Path:
    """The exported model of an MLflow URI (models:/NAME@ALIAS, models:/NAME/3, runs:/…), fetched.

    Raises:
        NetchuError: the server cannot be reached, or has no such model, or it is no exported one.
    """
    with connected(f"give {uri}"):
        mlflow.set_tracking_uri(address())
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    found = sorted(path.parent for path in folder.rglob("model.onnx"))
    if not found:
        raise NetchuError(f"{uri} holds no exported model; name one that 'make register' made")
    return found[0]


@contextmanager
def connected(doing: str) -> Iterator[MlflowClient]:
    """A client of the tracking server, quiet; `doing` says in its errors what it was to do.

    Raises:
        NetchuError: the server cannot be reached, is of another version, or refuses.
    """
    try:
        with _quiet():
            yield MlflowClient(address())
    except NetchuError:
        raise
    except Exception as error:
        raise NetchuError(
            f"{shown(address())} did not {doing}: {_reason(error)}; start the server, or "
            "name another by MLFLOW_TRACKING_URI"
        ) from None


def experiment_name(params: Params) -> str:
    """The experiment of a profile."""
    return f"netchu-{params.profile}"


def experiments() -> dict[str, str]:
    """Ids of the profiles' experiments by name, as the present store has them.

    Raises:
        NetchuError: the server cannot be reached.
    """
    with connected("list its experiments") as client:
        found = client.search_experiments(filter_string="name LIKE 'netchu-%'", order_by=["name"])
        return {experiment.name: str(experiment.experiment_id) for experiment in found}


def _experiment(client: MlflowClient, params: Params) -> str:
    """Id of the profile's experiment; with the default store its artifacts lie beside it."""
    name = experiment_name(params)
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    beside = ARTIFACTS.resolve().as_uri() if address().startswith("sqlite:") else None
    # What an experiment is for; MLflow 3.17 opens on its pages for chat models all the same (`ui`).
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=beside, tags=kind))


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


def address() -> str:
    """Where runs go: a server, or a database in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or STORE


def is_server() -> bool:
    """Whether the address is that of a server, and not of a database that we open ourselves."""
    return address().startswith(("http://", "https://"))


def _reason(error: Exception) -> str:
    """What went wrong in one line; if the server's version is another one, that first."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = shown(lines[0])[:200]
    version = _server_version()
    if version and version != mlflow.__version__:
        return f"it runs MLflow {version}, and this is {mlflow.__version__} ({told})"
    return told


def _server_version() -> str:
    """MLflow's version at the other end; "" where no server answers."""
    if not is_server():
        return ""
    try:
        with urllib.request.urlopen(f"{address().rstrip('/')}/version", timeout=5) as answer:
            version = answer.read(100).decode("ascii", "replace").strip()
    except (OSError, ValueError):
        return ""
    return version if re.fullmatch(r"\d[\w.]*", version) else ""


def shown(text: str) -> str:
    """Text that may name the server, without the name and password that its address may hold."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _cut(text: str) -> str:
    """Whole lines of a text, as many as a note takes."""
    return text if len(text) <= _LONGEST_NOTE else text[:_LONGEST_NOTE].rpartition("\n")[0]
