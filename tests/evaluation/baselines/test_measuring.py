import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import small_project
from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.data.line_table import write_table
from netchu.evaluation.baselines import measuring
from netchu.evaluation.baselines.base import Baseline
from netchu.evaluation.baselines.catalogue import BASELINES
from netchu.evaluation.baselines.measuring import measure_baseline
from netchu.evaluation.eval_subset import PREDICTION_COLUMNS, load_eval_subset
from netchu.evaluation.metrics.summary import lines_hash
from netchu.evaluation.metrics_io import read_metrics
from netchu.tracking.baseline_run import baseline_run

OUT = Path("models/tiny/baselines/fake")


@pytest.fixture
def fake(project_folder, monkeypatch):
    """Adds a baseline made of `changes` to a project and returns the project's params."""

    def put(settings=None, **changes) -> Params:
        monkeypatch.setitem(BASELINES, "fake", Baseline("fake_baseline", **changes))
        folders = [measuring.SOURCE, Path(small_project.__file__).parent]
        monkeypatch.setattr(measuring, "SOURCE", ":".join(map(str, folders)))
        params = small_project.params(baselines={"fake": settings or {}})
        lines = [small_project.drawn_lines(*s) for s in (("test", 12), ("train", 4), ("val", 4))]
        write_table([line for part in lines for line in part], params.lines / "drawn")
        return params

    return put


def test_a_baseline_reads_the_lines_of_every_system(fake):
    params = fake()
    metrics = measure_baseline(params, "fake", OUT)
    predictions = pd.read_parquet(OUT / "predictions.parquet")
    lines = load_eval_subset(params)
    assert list(predictions.columns) == PREDICTION_COLUMNS
    assert set(predictions["id"]) == set(lines["id"])
    sizes = dict(zip(lines["id"], lines["width"], strict=True))
    for row in predictions.itertuples():
        width = sizes[row.id]
        assert row.reading == ("" if width == 80 else f"{width} 40")
        assert row.confidence == (0 if width == 80 else 0.25)
    of_level = lines[lines["level"] == "line"]
    assert metrics["overall"]["lines_hash"] == lines_hash(of_level)
    assert set(metrics["datasets"]["drawn"]) == {"word", "line"}


def test_metrics_have_the_keys_of_an_evaluation_and_mark_the_baseline(fake):
    metrics = measure_baseline(fake(), "fake", OUT)
    assert metrics == read_metrics(OUT)
    expected = {"baseline": True, "system": "fake", "why": "", "version": "fake 1.0",
                "size_mb": 1.5, "parameters": 42, "memory_mb": None, "training": []}  # fmt: skip
    assert metrics | expected == metrics
    assert metrics["note"] == "lines on which it failed, which count as read empty: 3"
    assert {"overall", "datasets", "tables", "variants", "main", "hub_note"} <= set(metrics)
    speed = json.loads((OUT / "speed.json").read_text())
    assert speed["timed_lines"] == 2
    assert 2 <= speed["latency_p50_ms"] < 1000
    assert [row["width"] for row in speed["by_width"]] == [400, 800, 1600]
    assert all(row["timed_lines"] == 10 for row in speed["by_width"])


def test_only_speed_is_measured_if_readings_are_meaningless(fake):
    metrics = measure_baseline(fake(unusable_reason="random weights"), "fake", OUT)
    assert metrics["why"] == "random weights"
    assert metrics["parameters"] == 42
    assert "overall" not in metrics
    assert sorted(p.name for p in OUT.iterdir()) == ["metrics.json", "speed.json"]


def test_the_mlflow_run_of_a_baseline_has_an_evaluations_metrics(fake):
    params = fake()
    metrics = measure_baseline(params, "fake", OUT)
    run = baseline_run(params, "fake", 2.5)
    assert (run.name, run.tags["stage"], run.tags["baseline"]) == ("fake", "evaluate", "true")
    assert run.tags["data"] == "drawn line, drawn word"
    assert run.metrics["cer"] == metrics["overall"]["cer"]
    assert run.metrics["size_mb"] == 1.5
    assert run.metrics["latency_p50_ms"] > 0
    assert "train_seconds" not in run.metrics
    assert run.datasets["drawn line"] == metrics["overall"]["lines_hash"]
    assert len(run.readings) == 12
    assert "| all lines | 11 |" in run.note
    assert len(run.files) == 3


def test_the_mlflow_run_of_a_baseline_without_metrics_gives_the_reason(fake):
    params = fake(unusable_reason="random weights")
    measure_baseline(params, "fake", OUT)
    run = baseline_run(params, "fake", 2.5)
    assert run.note.startswith("random weights\n\n1.50 MB")
    assert "cer" not in run.metrics
    assert "latency_p50_ms/64x800" in run.metrics
    params = fake(argument="nothing")
    measure_baseline(params, "fake", OUT)
    run = baseline_run(params, "fake", 2.5)
    assert (run.note, run.metrics) == ("the fake found no model at …", {})


def test_a_baseline_that_fails_leaves_metrics_with_the_reason(fake):
    OUT.mkdir(parents=True)
    (OUT / "speed.json").write_text("of an earlier run")
    metrics = measure_baseline(fake(argument="nothing"), "fake", OUT)
    assert metrics["why"] == "the fake found no model at …"
    assert metrics["version"] == ""
    assert metrics["size_mb"] is None
    assert [path.name for path in OUT.iterdir()] == ["metrics.json"]


def test_a_baseline_has_no_keys(fake):
    with pytest.raises(NetchuError, match=r"baselines\.fake has no key 'minutes'; write"):
        measure_baseline(fake({"minutes": 3}), "fake", OUT)
    assert not OUT.exists()


def test_unknown_baselines_and_baselines_missing_from_params_are_errors(fake):
    params = fake()
    with pytest.raises(NetchuError, match="unknown baseline 'abbyy'; there are: asterocr, "):
        measure_baseline(params, "abbyy", OUT)
    with pytest.raises(NetchuError, match=r"params\.yaml has no baseline 'tesseract'"):
        measure_baseline(params, "tesseract", OUT)


def test_environment_variables_of_a_worker(monkeypatch):
    variables = measuring._environ()
    assert variables["OMP_NUM_THREADS"] == variables["OMP_THREAD_LIMIT"] == "1"
    assert (
        Path(variables["PYTHONPATH"]) / "netchu" / "evaluation" / "baselines" / "base.py"
    ).is_file()
    assert sys.prefix not in variables["VIRTUAL_ENV"]
