import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

import tracked_project
from netchu.core.errors import NetchuError
from netchu.tracking import store
from netchu.tracking.location import tracking_uri
from netchu.tracking.runs import Run, report_run

DEAD = "http://127.0.0.1:9"  # the discard port, which refuses connections


@pytest.fixture
def project(project_folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(project_folder))
    return tracked_project.params(profile="tracked")


@pytest.fixture
def runs(project):
    """The runs of the project's experiment, newest first."""

    def search():
        client = MlflowClient(tracking_uri())
        experiment = client.get_experiment_by_name("netchu-tracked")
        return client.search_runs([experiment.experiment_id], run_view_type=3)

    return search


def write_table(folder: Path) -> Path:
    file = folder / "some.csv"
    file.write_text("a\n1\n")
    return file


def test_all_parts_of_a_run_are_logged(project, project_folder, runs):
    run = Run(
        name="x evaluate",
        tags={"stage": "evaluate", "family": ""},
        # More parameters and metrics than MLflow takes at once.
        params={"model": {f"p{n}": n for n in range(150)}},
        metrics={"cer": 0.5, "cer/drawn line": 0.25},
        curves=[("loss", step, 1 / (step + 1)) for step in range(1200)],
        files=[write_table(project_folder)],
        note="| a |\n" * 3000,
        datasets={"drawn": "cd" * 32},
        split="test",
        readings=pd.DataFrame({"text": ["hoà"], "reading": ["hòa"]}),
        seconds=90.0,
        experiment_tags={"about": "this"},
    )
    run_id = store.record_run(project, run)
    (found,) = runs()
    client = MlflowClient(tracking_uri())
    assert (found.info.run_id, found.info.run_name) == (run_id, "x evaluate")
    assert found.info.status == "FINISHED"
    assert found.info.end_time - found.info.start_time >= 90_000
    assert found.data.tags["stage"] == "evaluate"
    assert "family" not in found.data.tags  # MLflow would show an empty tag
    assert 0 < len(found.data.tags["mlflow.note.content"]) <= 8000
    assert found.data.params["model.p149"] == "149"
    assert {"seed": "7", "compute.threads": "1"}.items() <= found.data.params.items()
    assert found.data.metrics["cer/drawn line"] == 0.25
    assert found.data.metrics["loss"] == 1 / 1200
    (given,) = found.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("drawn", "cd" * 18)
    assert given.tags[0].value == "test"
    assert {f.path for f in client.list_artifacts(run_id)} == {"some.csv", store.READINGS_FILE}
    assert client.get_experiment(found.info.experiment_id).tags["about"] == "this"
    assert Path("mlartifacts").is_dir()


def test_the_experiment_shows_the_leaderboard(project, runs):
    tracked_project.write_report(project.report_folder)
    store.track_run(project, report_run(project))
    tags = MlflowClient(tracking_uri()).get_experiment_by_name("netchu-tracked").tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    note = tags["mlflow.note.content"]
    assert note.startswith("| system | CER |")
    assert note.endswith(" |")  # cut between two lines
    assert [run.info.run_name for run in runs()] == ["report"]


def test_what_is_refused_is_named_in_one_line_and_the_rest_is_logged(project, runs, capsys):
    run = Run("x", {"stage": "report"}, metrics={"cer": 0.5}, files=[Path("nowhere.csv")])
    run_id = store.record_run(project, run)
    error = capsys.readouterr().err
    assert error.startswith("netchu: x is tracked incompletely, sqlite:///")
    assert "files: " in error
    assert "nowhere.csv" in error
    assert error.count("\n") == 1
    (found,) = runs()
    assert found.info.status == "FINISHED"
    assert found.data.tags["incomplete"] == "files"
    assert found.data.metrics == {"cer": 0.5}
    write_table(Path.cwd()).rename("nowhere.csv")
    store.record_run(project, run, run_id=run_id)
    assert "incomplete" not in runs()[0].data.tags


def test_a_run_that_is_recorded_again_has_nothing_twice(project, project_folder, runs):
    run = Run(
        "x", {"stage": "evaluate"}, params={"model": {"width": 3}}, metrics={"cer": 0.5},
        curves=[("loss", 1, 0.5), ("loss", 2, 0.25)], files=[write_table(project_folder)],
        datasets={"drawn": "cd" * 32}, split="test", readings=pd.DataFrame({"text": ["hoà"]}),
    )  # fmt: skip
    run_id = store.record_run(project, run)
    (first,) = runs()
    store.record_run(project, run, run_id=run_id)
    client = MlflowClient(tracking_uri())
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == [1, 2]
    assert len(client.get_metric_history(run_id, "cer")) == 1
    (found,) = runs()
    assert found.info.end_time == first.info.end_time
    assert len(found.inputs.dataset_inputs) == 1
    path = client.download_artifacts(run_id, store.READINGS_FILE)
    assert json.loads(Path(path).read_text(encoding="utf-8"))["data"] == [["hoà"]]


def test_names_that_mlflow_refuses_are_changed(project, runs):
    odd = {"a//b": 1, "../c": 2, "d:*é?": 3, "e" * 300: 4}
    store.record_run(project, Run("x", {}, params={"odd": odd}, metrics={"cer/a?b": 0.5}))
    (found,) = runs()
    assert "incomplete" not in found.data.tags
    assert {"1", "2", "3", "4"} <= set(found.data.params.values())
    assert found.data.metrics == {"cer/a_b": 0.5}


def test_a_deleted_experiment_is_named_with_the_way_back(project, runs, capsys):
    store.record_run(project, Run("x", {}))
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("netchu-tracked").experiment_id
    client.delete_experiment(experiment)
    store.track_run(project, Run("x", {}))
    error = capsys.readouterr().err
    assert f"restore it with 'mlflow experiments restore -x {experiment}'" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (DEAD, DEAD),
        ("http://me:secret@127.0.0.1:9", DEAD),
        ("nonsense://somewhere", "nonsense://somewhere"),
    ],
)
def test_an_unreachable_server_prints_one_line_and_fails_no_stage(
    project, monkeypatch, capsys, address, shown
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    store.track_run(project, Run("x", {}))
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"netchu: x is not tracked, {shown}: ")
    assert len(error.splitlines()) == 1
    assert "secret" not in error


class OldServer(BaseHTTPRequestHandler):
    """A server that answers /version and nothing else."""

    def do_GET(self):
        known = self.path == "/version"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(b"1.30.0" if known else b"<html>not here</html>")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def old_server(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), OldServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


def test_another_version_of_the_server_is_reported(project, old_server, capsys):
    store.track_run(project, Run("x", {}))
    error = capsys.readouterr().err
    assert f"it runs MLflow 1.30.0, and this is {mlflow.__version__} (" in error
    assert error.count("\n") == 1


def test_a_uri_without_an_exported_model_is_an_error(project, monkeypatch):
    with pytest.raises(NetchuError, match=r"cannot download models:/nothing@champion at .*nothing"):
        store.download_model("models:/nothing@champion")
    with pytest.raises(NetchuError, match="cannot download models:/nothing/1 at "):
        store.download_model("models:/nothing/1")
    run_id = store.record_run(project, Run("x", {}, files=[write_table(Path.cwd())]))
    with pytest.raises(
        NetchuError, match="holds no exported model; name one that 'netchu register'"
    ):
        store.download_model(f"runs:/{run_id}/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    with pytest.raises(
        NetchuError, match=r"cannot download models:/nothing/1 at http://127\.0\.0\.1:9: "
    ):
        store.download_model("models:/nothing/1")


def test_the_table_of_readings_is_in_mlflows_format(project):
    table = pd.DataFrame({"text": ["hoà", "Đắk"], "right": [True, False]})
    run_id = store.record_run(project, Run("x", {}, readings=table))
    path = MlflowClient(tracking_uri()).download_artifacts(run_id, store.READINGS_FILE)
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    assert content["columns"] == ["text", "right"]
    assert content["data"] == [["hoà", True], ["Đắk", False]]
