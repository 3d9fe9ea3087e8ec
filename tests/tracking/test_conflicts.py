"""Processes that write to the same database at the same time."""

import os

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, RESOURCE_ALREADY_EXISTS
from mlflow.tracking import MlflowClient

import tracked_project
from netchu.tracking import store
from netchu.tracking.runs import Run
from processes import run_at_once

ERRORS = [
    "(sqlite3.OperationalError) database is locked",
    "(sqlite3.IntegrityError) UNIQUE constraint failed: experiment_tags.key",
    "(psycopg.errors.UniqueViolation) duplicate key value violates a constraint",
    "(psycopg.errors.DeadlockDetected) deadlock detected",
]


@pytest.mark.parametrize("message", ERRORS)
def test_a_write_that_conflicts_is_tried_again(tmp_path, monkeypatch, capsys, message):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(tmp_path))
    refused = {"set_experiment_tag", "create_run", "log_batch", "set_terminated"}
    for name in list(refused):
        monkeypatch.setattr(MlflowClient, name, refuses_once(name, message, refused))
    run = Run("x", {"stage": "evaluate"}, metrics={"cer": 0.5}, experiment_tags={"shown": "yes"})
    run_id = store.record_run(tracked_project.params(profile="busy"), run)
    assert refused == set()
    assert "netchu:" not in capsys.readouterr().err
    client = store.open_client()
    (found,) = client.search_runs([client.get_experiment_by_name("netchu-busy").experiment_id])
    assert found.info.run_id == run_id
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"cer": 0.5})
    assert "incomplete" not in found.data.tags


def refuses_once(name, message, refused):
    """Return a method of the client that raises an error in its first call."""
    method = getattr(MlflowClient, name)

    def call(*args, **kwargs):
        if name in refused:
            refused.remove(name)
            raise MlflowException(message, BAD_REQUEST)
        return method(*args, **kwargs)

    return call


def test_what_exists_already_is_not_tried_again():
    calls = []

    def create():
        calls.append(1)
        raise MlflowException(f"exists already: {ERRORS[1]}", RESOURCE_ALREADY_EXISTS)

    with pytest.raises(MlflowException, match="exists already"):
        store.retry_conflicts(create)
    assert len(calls) == 1


WRITERS, RUNS = 4, 5


def write_runs(number, uri, together):
    """Record several runs, beginning at the same time as the other writers."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    params = tracked_project.params(profile="shared")
    together.wait()
    for n in range(RUNS):
        name = f"{number}-{n}"
        tags = {"stage": "evaluate", "own": name}
        run = Run(name, tags, {"n": n}, {"cer": n / 100}, experiment_tags={"shown": name})
        store.track_run(params, run)


@pytest.mark.slow
@pytest.mark.parametrize("exists", [True, False])
def test_processes_that_write_at_once_lose_no_run(tmp_path, monkeypatch, capfd, exists):
    uri = tracked_project.put_store(tmp_path) if exists else f"sqlite:///{tmp_path}/new.db"
    imported_once = ["netchu.tracking.store", "tracked_project"]
    codes = run_at_once(write_runs, range(WRITERS), uri, preload=imported_once)
    assert codes == [0] * WRITERS
    assert "netchu:" not in capfd.readouterr().err

    client = MlflowClient(uri)
    (shared,) = client.search_experiments(filter_string="name = 'netchu-shared'")
    runs = client.search_runs([shared.experiment_id])
    names = {f"{writer}-{n}" for writer in range(WRITERS) for n in range(RUNS)}
    assert sorted(run.info.run_name for run in runs) == sorted(names)
    for run in runs:
        n = int(run.info.run_name[-1])
        assert run.info.status == "FINISHED"
        assert run.data.metrics == {"cer": n / 100}
        assert (run.data.params["n"], run.data.tags["own"]) == (str(n), run.info.run_name)
