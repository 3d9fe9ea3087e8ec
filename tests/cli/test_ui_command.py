import os

import pytest
from typer.testing import CliRunner

import tracked_project
from netchu.cli import app
from netchu.tracking import store
from netchu.tracking.runs import Run


@pytest.fixture
def run(project_folder, monkeypatch):
    """Run `netchu ui`; return the result and the commands that the process is replaced by."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(project_folder))
    monkeypatch.delenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", raising=False)
    commands = []
    monkeypatch.setattr(os, "execv", lambda program, command: commands.append(command))
    return lambda *arguments: (CliRunner().invoke(app.app, ["ui", *arguments]), commands)


def test_a_link_for_each_profile_and_the_page_at_its_port(run):
    for profile in ("second", "first"):
        store.record_run(tracked_project.params(profile=profile), Run("x", {}))
    done, ((*_, flag, port, workers, number),) = run("--port", "5001")
    assert (flag, port) == ("--port", "5001")
    assert (workers, number) == ("--workers", "1")
    assert os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    *lines, together = done.stdout.splitlines()
    links = [line.split() for line in lines]
    assert [name for name, _ in links] == ["netchu-first", "netchu-second"]
    assert [link.partition("/#/")[0] for _, link in links] == ["http://127.0.0.1:5001"] * 2
    assert links[0][1] != links[1][1]
    ids = store.experiment_ids()
    both = f"%5B%22{ids['netchu-first']}%22%2C%20%22{ids['netchu-second']}%22%5D"
    assert together.split()[:2] == ["all", "profiles"]
    assert together.endswith(
        f"#/compare-experiments/s?experiments={both}&viewStateShareKey=systems"
    )


def test_an_empty_store_starts_the_page_and_prints_no_link(run):
    done, commands = run()
    assert len(commands) == 1
    assert done.stdout == ""


def test_a_remote_server_is_linked_to_and_not_started(run, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@runs.example/")
    monkeypatch.setattr(store, "experiment_ids", lambda: {"netchu-laptop": "7"})
    done, commands = run()
    link = "https://runs.example/#/experiments/7/runs?viewStateShareKey=systems"
    assert (done.stdout, commands) == (f"netchu-laptop        {link}\n", [])


def test_a_server_that_is_down_is_a_one_line_error(run, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done, _ = run()
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
