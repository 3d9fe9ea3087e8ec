import json
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

import small_project
from netchu import evaluation, registry, tracking
from netchu.checkpoint import load_model, read_card, write_json
from netchu.errors import NetchuError
from netchu.loader import frame_batches
from netchu.params import Params


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Params:
    """A trained, evaluated and tracked project; tests run inside its folder."""
    home = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        # Six phases have more parameters than MLflow takes at once.
        phases = {"pretrain": [], "finetune": [small_project.PHASE] * 6}
        system = {"model": small_project.MODEL, **phases}
        project = small_project.params(systems={"netchu_small": system})
        small_project.write_lines(project)
        folder = small_project.write_model(project)
        tracking.track_training(project, "netchu_small", "finetune", folder)
        out = Path("models/tiny/netchu_small/evaluation")
        metrics = evaluation.evaluate(project, "netchu_small", out)
        speed = {"latency_p50_ms": 3.0, "latency_p95_ms": 4.0, "lines": 2, "machine": "some"}
        files = [out / "metrics.json"]
        tracking.track_evaluation(
            project, "netchu_small", metrics, speed, read_card(folder), 1.5, files
        )
        yield project


@pytest.fixture
def client(project) -> MlflowClient:
    return MlflowClient(tracking.STORE)


def runs(client: MlflowClient, stage: str):
    experiment = client.get_experiment_by_name("netchu-tiny")
    return client.search_runs([experiment.experiment_id], f"tags.stage = '{stage}'")


def test_each_stage_is_one_flat_finished_run_joined_by_its_weights(client):
    (training,), (evaluated,) = runs(client, "finetune"), runs(client, "evaluate")
    assert training.info.run_name == "netchu_small-finetune"
    assert training.info.status == evaluated.info.status == "FINISHED"
    assert training.data.tags["weights"] == evaluated.data.tags["weights"] != ""
    for run in (training, evaluated):
        assert run.data.tags["profile"] == "tiny"
        assert {"system", "git_commit", "data", "device"} <= set(run.data.tags)
        assert "mlflow.parentRunId" not in run.data.tags


def test_training_has_its_curve_time_parameters_and_files(client):
    (run,) = runs(client, "finetune")
    curve = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(m.step, m.value) for m in curve] == [(5, 4.0), (10, 3.0), (15, 2.0), (20, 1.5)]
    assert len(client.get_metric_history(run.info.run_id, "val_cer")) == 4  # 3 and the kept one
    assert run.data.metrics["train_seconds"] == 61.5
    assert run.data.params["model.height"] == "32"
    assert run.data.params["phase.5.batch_size"] == "2"
    files = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert files == {"history.csv", "model.json", "skipped.csv"}


def test_a_stage_without_a_phase_is_a_run_too(project, client):
    # A checkpoint that is only fine-tuned has an empty pretraining.
    folder = project.model_folder("netchu_small", "pretrain")
    shutil.copytree(project.model_folder("netchu_small", "finetune"), folder)
    card = read_card(folder)
    write_json(card | {"training": []}, folder / "model.json")
    header = (folder / "history.csv").read_text(encoding="utf-8").splitlines()[0]
    (folder / "history.csv").write_text(header + "\n", encoding="utf-8")
    tracking.track_training(project, "netchu_small", "pretrain", folder)
    (run,) = runs(client, "pretrain")
    assert run.data.metrics["size_mb"] > 0


def test_evaluation_has_rates_size_speed_and_training_time(client):
    (run,) = runs(client, "evaluate")
    wanted = {"cer", "wer", "ser", "size_mb", "parameters", "latency_p50_ms", "latency_p95_ms",
              "train_seconds", "evaluate_seconds", "drawn/line/cer"}  # fmt: skip
    assert wanted <= set(run.data.metrics)
    out = Path("models/tiny/netchu_small/evaluation/metrics.json")
    stored = json.loads(out.read_text(encoding="utf-8"))["overall"]["cer"]
    assert run.data.metrics["cer"] == stored
    assert run.data.metrics["lines"] == 11  # the twelfth is a word
    assert Path("mlartifacts").is_dir()


def test_a_dead_server_costs_one_line_and_no_stage(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    folder = project.model_folder("netchu_small", "finetune")
    tracking.track_training(project, "netchu_small", "finetune", folder)
    error = capsys.readouterr().err.strip()
    assert error.startswith("netchu: not tracked, http://127.0.0.1:9: ")
    assert len(error.splitlines()) == 1


def test_registering_with_a_dead_server_is_a_clear_error(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(NetchuError, match="did not register netchu_small"):
        registry.register_best(project)


def test_the_champion_reads_what_the_model_directory_reads(project, client):
    assert registry.register_best(project) == "1"
    mlflow.set_tracking_uri(tracking.STORE)
    champion = mlflow.pyfunc.load_model("models:/netchu@champion")
    lines = evaluation.chosen_lines(project)
    answer = champion.predict(pd.DataFrame({"image": lines["image"]}))
    model = load_model(project.model_folder("netchu_small", "finetune"))
    direct = {
        i: r
        for batch in frame_batches(lines, model.preprocessing, 16)
        for i, r in zip(batch.ids, model.transcribe(batch), strict=True)
    }
    assert answer["text"].tolist() == [direct[i].text for i in lines["id"]]
    assert answer["confidence"].tolist() == [direct[i].confidence for i in lines["id"]]
    (run,) = runs(client, "evaluate")
    assert client.get_model_version_by_alias("netchu", "champion").run_id == run.info.run_id


def test_the_best_system_is_the_one_of_the_lowest_cer(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    system = {"model": {}, "pretrain": [], "finetune": []}
    several = small_project.params(
        systems={"crnn_vgg": system, "trocr": system, "crnn_residual": system}
    )
    with pytest.raises(NetchuError, match="no system of profile tiny is evaluated"):
        registry.best_system(several)
    for name, cer in (("crnn_vgg", 0.3), ("trocr", 0.2)):
        folder = Path("models/tiny", name, "evaluation")
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"overall": {"cer": cer}}))
    assert registry.best_system(several) == "trocr"


def test_a_table_without_images_and_a_broken_image_are_named(project):
    reader = registry.ImageReader(load_model(project.model_folder("netchu_small", "finetune")))
    with pytest.raises(NetchuError, match="no column 'image'"):
        reader.predict(pd.DataFrame({"picture": [b""]}))
    with pytest.raises(NetchuError, match="image 0: not an image"):
        reader.predict(pd.DataFrame({"image": [b"no"]}))
