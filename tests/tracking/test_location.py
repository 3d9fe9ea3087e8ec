import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

import tracked_project
from netchu.core.fingerprints import PACKAGE
from netchu.inference.reader import Reader
from netchu.tracking import registry, store
from netchu.tracking.location import adopt_artifacts, main_checkout, tracking_uri
from netchu.tracking.runs import Run
from tracked_project import SYSTEM


def git(*arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(project_folder, monkeypatch):
    """A checkout of git and DVC, which is the working directory."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = project_folder / "home"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    monkeypatch.chdir(folder)
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    return folder


def test_runs_go_to_the_checkout_from_any_folder_in_it(checkout, monkeypatch):
    (checkout / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir("a/b")
    assert tracking_uri() == f"sqlite:///{checkout}/mlflow.db"


def test_runs_of_a_worktree_go_to_the_main_checkout(checkout, monkeypatch):
    git("worktree", "add", str(checkout.parent / "tree"))
    monkeypatch.chdir(checkout.parent / "tree")
    assert main_checkout() == checkout


def test_a_workspace_of_dvc_leads_to_the_checkout_that_dvc_names(checkout, monkeypatch):
    workspace = checkout / ".dvc" / "tmp" / "exps" / "some"
    (workspace / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("DVC_ROOT", str(checkout))
    assert main_checkout() == checkout


def test_a_named_server_comes_first(checkout, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri() == "http://127.0.0.1:5000"


@pytest.fixture
def registered(checkout, monkeypatch):
    """A checkout with a run and a registered model in its own database."""
    tracked_project.put_store(checkout)
    params = tracked_project.params(profile="moved")
    tracked_project.write_system(params, "aa", 10)
    registry.register(params, SYSTEM)
    # Set by MLflow for processes that the registering one starts.
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return params


@pytest.mark.parametrize("way", [shutil.move, shutil.copytree])
def test_artifacts_travel_with_the_checkout(registered, checkout, monkeypatch, capsys, way):
    other = checkout.parent / "elsewhere"
    way(checkout, other)
    before = sorted((checkout / "mlartifacts").rglob("*"))
    monkeypatch.chdir(other)
    fetched = store.download_model("models:/netchu-moved@challenger")
    line = capsys.readouterr().err
    assert f"mlflow.db was moved or copied from {checkout}; its artifacts are those in" in line
    assert fetched.is_relative_to(other)
    assert Reader(fetched)
    run_id = store.record_run(registered, Run("x", {}, files=[other / ".dvc" / "config"]))
    assert list((other / "mlartifacts").rglob(f"{run_id}/artifacts/config"))
    assert sorted((checkout / "mlartifacts").rglob("*")) == before
    adopt_artifacts(tracking_uri())
    assert "moved or copied" not in capsys.readouterr().err


def test_artifacts_that_were_left_behind_stay_where_they_are(registered, checkout, monkeypatch):
    shared = checkout.parent / "shared"
    shared.mkdir()
    shutil.copy("mlflow.db", shared)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}/mlflow.db")
    assert store.download_model("models:/netchu-moved@challenger").is_relative_to(checkout)


STAGE = """
import sys, yaml
from pathlib import Path
import netchu, tracked_project
from netchu.tracking import store
from netchu.tracking.runs import Run, source_tags
rate = yaml.safe_load(open("params.yaml"))["rate"]
Path("out").write_text(f"{rate} {netchu.__file__}")
params = tracked_project.params(profile="queued")
store.record_run(params, Run("small evaluate", source_tags("evaluate"), {"rate": rate},
                             {"cer": rate}, files=[Path("out")]))
"""


@pytest.mark.slow
def test_queued_experiments_keep_their_runs_and_run_their_own_code(checkout, monkeypatch):
    support = Path(tracked_project.__file__).parent
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for name, value in {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
                        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org",
                        "DVC_NO_ANALYTICS": "1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    shutil.copytree(PACKAGE, "src/netchu", ignore=shutil.ignore_patterns("__pycache__", "shipped"))
    Path("stage.py").write_text(STAGE)
    Path("params.yaml").write_text("rate: 0.0\n")
    command = f"PYTHONPATH=src:{support} python stage.py"
    spec = {"cmd": command, "params": ["rate"], "deps": ["stage.py"], "outs": ["out"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluate": spec}}))
    Path(".gitignore").write_text("/mlflow.db*\n/mlartifacts/\n__pycache__/\n/out\n")
    git("add", ".")
    git("commit", "-m", "pipeline")
    tracked_project.put_store(checkout)

    def dvc(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for rate in (0.1, 0.2):
        dvc("exp", "run", "--queue", "-S", f"rate={rate}", "-n", f"rate-{rate * 10:.0f}")
    dvc("queue", "start", "-j", "2")
    end = time.monotonic() + 300
    while (status := dvc("queue", "status")).count("Success") < 2:
        assert "Failed" not in status, dvc("queue", "logs", "rate-1")
        assert time.monotonic() < end, status
        time.sleep(3)
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("netchu-queued")
    runs = client.search_runs([experiment.experiment_id], order_by=["params.rate"])
    assert [run.data.params["rate"] for run in runs] == ["0.1", "0.2"]
    assert [run.data.tags["dvc_experiment"] for run in runs] == ["rate-1", "rate-2"]
    assert [run.info.run_name for run in runs] == [
        "small evaluate (rate-1)", "small evaluate (rate-2)",
    ]  # fmt: skip
    for run in runs:
        out = Path(client.download_artifacts(run.info.run_id, "out"))
        assert run.info.artifact_uri.startswith((checkout / "mlartifacts").as_uri())
        assert str(checkout / ".dvc" / "tmp" / "exps") in out.read_text()
