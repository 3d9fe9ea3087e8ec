import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

import tracked_project
from netchu.cli.app import app
from netchu.core.errors import NetchuError
from netchu.tracking import store
from netchu.tracking.evaluation_run import track_evaluation
from netchu.tracking.location import tracking_uri
from netchu.tracking.profile_runs import record_profile
from netchu.tracking.runs import training_run
from tracked_project import SYSTEM


@pytest.fixture
def project(project_folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(project_folder))
    params = tracked_project.params(profile="pulled")
    tracked_project.write_system(params, "aa", 10)
    tracked_project.write_report(params.report_folder)
    return params


def runs():
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("netchu-pulled")
    return client.search_runs([experiment.experiment_id], order_by=["start_time"])


NAMES = [f"{SYSTEM} {stage}" for stage in ("pretrain", "finetune", "evaluate")] + ["report"]


def test_the_runs_of_pulled_outputs_are_recorded_once(project):
    first = record_profile(project)
    assert (first.new, first.present, first.missing) == (NAMES, [], [])
    again = record_profile(project)
    assert (again.new, again.present) == ([], NAMES)
    assert len(runs()) == 4
    client = MlflowClient(tracking_uri())
    assert client.get_experiment_by_name("netchu-pulled").tags["mlflow.note.content"]


def test_a_run_of_the_stage_itself_is_not_recorded_again(project):
    folder = tracked_project.home(project) / "finetune"
    store.track_run(project, training_run(project, SYSTEM, "finetune", folder))
    track_evaluation(project, SYSTEM, 12.5)
    recorded = record_profile(project)
    assert recorded.present == [f"{SYSTEM} finetune", f"{SYSTEM} evaluate"]
    assert len(runs()) == 4


def test_other_outputs_are_another_run(project):
    record_profile(project)
    tracked_project.write_system(project, "bb", 5)
    assert record_profile(project).new == NAMES[:3]
    weights = [run.data.tags.get("weights") for run in runs()]
    assert (weights.count("aa"), weights.count("bb")) == (3, 3)


def test_an_evaluation_has_the_parameters_and_the_runs_of_its_training(project):
    home = tracked_project.home(project)
    for stage, changes in (("pretrain", {"weights": "pp"}),
                           ("finetune", {"provenance": {"pretrained": "pp"}})):  # fmt: skip
        card = home / stage / "model.json"
        card.write_text(json.dumps(json.loads(card.read_text()) | changes))
    record_profile(project)
    by_name = {run.info.run_name: run for run in runs()}
    evaluation = by_name[SYSTEM]
    for stage in ("pretrain", "finetune"):
        training = by_name[f"{SYSTEM} {stage}"]
        assert training.data.tags["mlflow.parentRunId"] == evaluation.info.run_id
        name = f"{stage}.0.learning_rate"
        assert evaluation.data.params[name] == training.data.params[name] == "0.001"
    assert evaluation.data.params["model.height"] == "32"


def test_an_incomplete_run_is_completed(project, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", full)
        record_profile(project)
    assert "files: [Errno 28] No space left on device" in capsys.readouterr().err
    assert all(run.data.tags["incomplete"].startswith("files") for run in runs())
    assert record_profile(project).new == NAMES
    assert not any("incomplete" in run.data.tags for run in runs())
    assert len(runs()) == 4


def test_stages_without_outputs_are_named(project):
    (tracked_project.home(project) / "speed.json").unlink()
    (project.report_folder / "report.html").unlink()
    assert record_profile(project).missing == [f"{SYSTEM} evaluate", "report"]


def test_a_server_that_is_down_is_an_error(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(NetchuError, match=r"cannot record the runs of pulled at .*start"):
        record_profile(project)


def test_the_command(project):
    content = json.loads(json.dumps(asdict(project)))
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    result = CliRunner().invoke(app, ["track"])
    assert result.stdout == "netchu-pulled: 4 runs recorded, 0 there already\n"
    for folder, values in (("conf", {"defaults": ["_self_", {"profile": "pulled"}]}),
                           ("conf/profile", {})):  # fmt: skip
        Path(folder).mkdir()
        Path(folder, "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    Path("conf/profile/config.yaml").unlink()
    profile = "# @package _global_\n" + yaml.safe_dump(content)
    Path("conf/profile/pulled.yaml").write_text(profile, encoding="utf-8")
    Path("params.yaml").unlink()
    result = CliRunner().invoke(app, ["track", "--profile", "pulled"])
    assert result.stdout == "netchu-pulled: 0 runs recorded, 4 there already\n"
    result = CliRunner().invoke(app, ["track", "--profile", "odd"])
    assert result.exit_code == 2
    assert result.stderr == "netchu: no profile 'odd' in conf/profile; it has pulled\n"
