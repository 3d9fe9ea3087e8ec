import json
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

import tracked_project
from bar_model import bars
from netchu.cli.app import app
from netchu.core.errors import NetchuError
from netchu.imaging.images import encode
from netchu.inference.reader import Reader
from netchu.tracking import registry, store
from netchu.tracking.evaluation_run import evaluation_run
from netchu.tracking.location import tracking_uri
from tracked_project import SYSTEM, block, write_system

NAME = "netchu-registered"


@pytest.fixture
def project(project_folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(project_folder))
    params = tracked_project.params(profile="registered")
    write_system(params, "aa", 10)
    return params


def aliases():
    (model,) = MlflowClient(tracking_uri()).search_registered_models(f"name = '{NAME}'")
    return model.aliases


def add(project, weights, errors, **changes):
    """Register a version with so many errors in 100 characters of each writer."""
    write_system(project, weights, errors, **changes)
    return registry.register(project, SYSTEM)


def test_a_version_becomes_challenger_and_the_first_one_champion(project):
    assert registry.register(project, SYSTEM) == "1"
    assert aliases() == {"challenger": 1}
    assert "version 1 of netchu-registered is champion: the first" in registry.promote(project)
    assert aliases() == {"champion": 1}
    client = MlflowClient(tracking_uri())
    version = client.get_model_version(NAME, "1")
    assert version.tags == {
        "system": SYSTEM, "weights": "aa", "size": "1.50 MB", "latency": "2.3 ms a line",
        "cer drawn": "10.0 %",
    }  # fmt: skip
    assert version.description.startswith("netchu_small, exported.\n\n| lines of |")
    run = client.get_run(version.run_id)
    assert (run.data.tags["stage"], run.data.tags["weights"]) == ("evaluate", "aa")


def test_the_registered_model_reads_like_the_exported_one(project):
    registry.register(project, SYSTEM)
    photo = encode(bars("hab"))
    mlflow.set_tracking_uri(tracking_uri())
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@challenger")
    answer = model.predict(pd.DataFrame({"image": [photo]}), params={"line": True})
    own = Reader(tracked_project.home(project) / "export").read(photo, line=True)
    assert answer["text"].tolist() == [own.text] == ["hab"]
    assert answer["confidence"].tolist() == [own.confidence]
    fetched = store.download_model(f"models:/{NAME}@challenger")
    assert Reader(fetched).read(photo, line=True).text == "hab"


@pytest.mark.parametrize("fails", [False, True])
def test_registering_leaves_the_run_as_it_ended(project, monkeypatch, fails):
    run_id = store.record_run(project, evaluation_run(project, SYSTEM, 90.0))
    client = MlflowClient(tracking_uri())
    before = client.get_run(run_id).info
    if fails:
        refuse = mock.Mock(side_effect=OSError("no space"))
        monkeypatch.setattr(mlflow.pyfunc, "log_model", refuse)
        with pytest.raises(NetchuError, match="no space"):
            registry.register(project, SYSTEM)
    else:
        registry.register(project, SYSTEM)
        assert client.get_model_version(NAME, "1").run_id == run_id
    after = client.get_run(run_id).info
    assert (after.status, after.end_time) == ("FINISHED", before.end_time)


def test_the_same_weights_and_evaluation_are_the_same_version(project):
    assert registry.register(project, SYSTEM) == registry.register(project, SYSTEM) == "1"
    registry.promote(project)
    assert registry.register(project, SYSTEM) == "1"
    with pytest.raises(NetchuError, match=r"version 1 of netchu-registered is champion already"):
        registry.promote(project)


def test_a_better_challenger_becomes_champion(project):
    registry.register(project, SYSTEM)
    registry.promote(project)
    assert add(project, "bb", 5) == "2"
    assert registry.promote(project) == (
        "version 2 of netchu-registered is champion: CER 5.00 % against 10.00 %, better with "
        "probability 100.0 %"
    )
    assert aliases() == {"champion": 2}


def mixed(errors, **sums):
    """Return metrics with other sums by writer."""
    metrics = block(errors)
    return metrics | {"sums": metrics["sums"] | sums}


NOISY = {name: [9, 11, 8, 12, 9, 11, 10, 9] for name in ("edits", "word_edits", "wrong")}


@pytest.mark.parametrize(
    ("errors", "changes", "message"),
    [
        (10, {}, "overall: CER 10.00 % against 10.00 %, better with probability 50.0 %"),
        (20, {}, "overall: CER 20.00 % against 10.00 %"),
        (10, {"overall": mixed(10, **NOISY)}, "overall: CER 9.88 % against 10.00 %"),
        (
            5,
            {"datasets": {"drawn": {"line": block(20)}}},
            "drawn/line: CER 20.00 % against 10.00 %, better with probability 0.0 %",
        ),
    ],
    ids=["equal", "worse", "not significant", "worse on a slice"],
)
def test_a_challenger_that_is_not_better_is_refused(project, errors, changes, message):
    registry.register(project, SYSTEM)
    registry.promote(project)
    add(project, "bb", errors, **changes)
    with pytest.raises(NetchuError, match="version 2 does not read better than") as refused:
        registry.promote(project)
    assert message in str(refused.value)
    assert "the champion stays" in str(refused.value)
    assert aliases() == {"champion": 1, "challenger": 2}


def test_evaluations_of_different_lines_are_an_error(project):
    registry.register(project, SYSTEM)
    registry.promote(project)
    other = block(5, "ff")
    add(project, "bb", 5, overall=other, datasets={"drawn": {"line": other}})
    with pytest.raises(NetchuError, match="version 1 and version 2 have read different lines"):
        registry.promote(project)
    assert aliases()["champion"] == 1


def test_without_a_model_or_a_challenger_the_error_names_the_command(project):
    with pytest.raises(
        NetchuError, match="no model netchu-registered is registered; run 'netchu register'"
    ):
        registry.promote(project)
    registry.register(project, SYSTEM)
    registry.promote(project)
    with pytest.raises(NetchuError, match="netchu-registered has no challenger; run"):
        registry.promote(project)


def test_an_unreachable_server_is_an_error(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(NetchuError, match=r"cannot register netchu_small at .*; start the server"):
        registry.register(project, SYSTEM)
    with pytest.raises(NetchuError, match="cannot promote a version of netchu-registered"):
        registry.promote(project)


def test_a_damaged_database_is_to_be_moved_away(project, tmp_path, monkeypatch):
    (tmp_path / "damaged.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/damaged.db")
    with pytest.raises(NetchuError, match=r"file is not a database.*; move the database away, or"):
        registry.register(project, SYSTEM)


def test_an_export_of_other_weights_is_an_error(project):
    card = tracked_project.home(project) / "finetune" / "model.json"
    content = json.loads(card.read_text(encoding="utf-8"))
    card.write_text(json.dumps(content | {"training": []}), encoding="utf-8")
    with pytest.raises(
        NetchuError, match="not exported from the present weights; run 'dvc repro export"
    ):
        registry.register(project, SYSTEM)


def test_the_best_system_is_the_exported_one_with_the_lowest_cer(project):
    system = {"model": {}, "pretrain": {}, "finetune": {}}
    names = ("crnn_vgg", "netchu_small", "trocr", "crnn_residual")
    exports = {name: {"network": name} for name in names if name != "trocr"}
    several = tracked_project.params(
        profile="registered", systems=dict.fromkeys(names, system), exports=exports
    )
    for name, errors in (("crnn_vgg", 20), ("trocr", 1)):
        write_system(several, name, errors, system=name)
    assert registry.best_system(several) == "netchu_small"
    (tracked_project.home(several) / "evaluation" / "metrics.json").unlink()
    assert registry.best_system(several) == "crnn_vgg"
    with pytest.raises(NetchuError, match="no system of profile registered is both exported and"):
        registry.best_system(tracked_project.params(profile="registered", exports={}))


def test_the_commands(project):
    plain = json.loads(json.dumps(asdict(project)))
    Path("params.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")

    def run(*arguments):
        return CliRunner().invoke(app, arguments)

    registered = "netchu_small is version 1 of netchu-registered, alias challenger\n"
    assert run("register").stdout == registered
    assert run("promote").stdout.startswith("version 1 of netchu-registered is champion: the first")
    for arguments, message in (
        (("promote",), "netchu: netchu-registered has no challenger"),
        (("register", "vietocr"), "netchu: unknown system 'vietocr'"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith(message)
