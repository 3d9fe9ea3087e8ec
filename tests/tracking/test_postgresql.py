"""A team's tracking server, MLflow on PostgreSQL, with several experiments at once."""

import getpass
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

import small_project
import tracked_project
from mlflow_process import free_port, mlflow_server
from netchu.tracking.evaluation_run import track_evaluation
from netchu.tracking.live_run import tracked_training
from processes import run_at_once
from tracked_project import SYSTEM

pytestmark = pytest.mark.slow

EXPERIMENTS = 4
POINTS = 50
IMPORTED_ONCE = ["netchu.training.stage", "netchu.tracking.evaluation_run", "onnx"]
"""Modules that take seconds to import, and are inherited by the processes of the experiments."""


def binaries():
    """The folder of PostgreSQL's programs, which Debian keeps off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture(scope="module")
def postgresql():
    """The URI of an empty database in a new folder."""
    if not binaries() and shutil.which("apt-get") and os.getuid() == 0:
        subprocess.run(["apt-get", "install", "-qq", "postgresql"], check=False)
    if not binaries():
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    # PostgreSQL refuses to run as root.
    owner = "postgres" if os.getuid() == 0 else getpass.getuser()
    folder, port = Path(tempfile.mkdtemp()), free_port()
    shutil.chown(folder, owner)

    def run(program, *arguments):
        command = [binaries() / program, "-D", folder / "data", *arguments]
        subprocess.run(command, check=True, user=owner, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "--auth=trust", "--username=netchu", "--no-sync")
        options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
        run("pg_ctl", "start", "--wait", "-o", options, "-l", folder / "log")
        yield f"postgresql://netchu@127.0.0.1:{port}/postgres"
        run("pg_ctl", "stop", "--mode=immediate")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(postgresql, project_folder, monkeypatch):
    kept, log = project_folder / "kept", project_folder / "server.log"
    with mlflow_server(postgresql, kept, log) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
        yield address


def experiment(number, together):
    """Record the training and the evaluation of one of several experiments, as its stages do."""
    folder = Path(f"workspace{number}")
    folder.mkdir()
    os.chdir(folder)
    os.environ["DVC_EXP_NAME"] = f"rate-{number}"
    phase = small_project.PHASE | {"learning_rate": rate(number)}
    system = {
        "model": small_project.MODEL, "pretrain": {}, "finetune": small_project.numbered(phase),
    }  # fmt: skip
    params = tracked_project.params(profile="team", systems={SYSTEM: system})
    together.wait()
    with tracked_training(params, SYSTEM, "finetune") as live:
        live.begin(None)
        for step in range(POINTS):
            live.log("step/loss", step, float(number))
        tracked_project.write_system(params, weights=f"weights{number}", errors=number)
    together.wait()
    track_evaluation(params, SYSTEM, seconds=1.0)


def rate(number):
    return number / 1000


def test_four_experiments_at_once_lose_no_run(server, capfd):
    numbers = range(1, EXPERIMENTS + 1)
    codes = run_at_once(experiment, numbers, preload=IMPORTED_ONCE)
    assert codes == [0] * EXPERIMENTS
    assert "tracked" not in capfd.readouterr().err

    client = MlflowClient(server)
    (team,) = client.search_experiments(filter_string="name LIKE 'netchu-%'")
    runs = client.search_runs([team.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    by_name = {run.info.run_name: run for run in runs}
    assert len(runs) == len(by_name) == 2 * EXPERIMENTS
    for number in numbers:
        training = by_name[f"{SYSTEM} finetune (rate-{number})"]
        evaluation = by_name[f"{SYSTEM} (rate-{number})"]
        points = client.get_metric_history(training.info.run_id, "step/loss")
        assert [(p.step, p.value) for p in points] == [(step, number) for step in range(POINTS)]
        assert training.data.tags["mlflow.parentRunId"] == evaluation.info.run_id
        assert evaluation.data.params["finetune.0.learning_rate"] == str(rate(number))
        assert evaluation.data.metrics["cer"] == number / 100
        fetched = client.download_artifacts(evaluation.info.run_id, "predictions.parquet")
        assert pd.read_parquet(fetched).equals(tracked_project.readings())
