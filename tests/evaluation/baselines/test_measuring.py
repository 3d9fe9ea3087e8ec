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
from netchu.evaluation.eval_subset import COLUMNS, chosen_lines
from netchu.evaluation.metrics.summary import lines_hash
from netchu.evaluation.metrics_io import read_figures
from netchu.tracking.baseline_run import baseline_run

OUT = Path("models/tiny/baselines/fake")


@pytest.fixture
def fake(project_folder, monkeypatch):
    """Puts a baseline made of `changes` beside a project; gives the project."""

    def put(settings=None, **changes) -> Params:
        monkeypatch.setitem(BASELINES, "fake", Baseline("fake_baseline", **changes))
        places = [measuring.SOURCE, Path(__file__).parent]
        monkeypatch.setattr(measuring, "SOURCE", ":".join(map(str, places)))
        params = small_project.params(baselines={"fake": settings or {}})
        lines = [small_project.drawn_lines(*s) for s in (("test", 12), ("train", 4), ("val", 4))]
        write_table([line for part in lines for line in part], params.lines / "drawn")
        return params

    return put


def commands(learnt):
    """A training without an end, that leaves its model only if it is `learnt`."""
    code = "import pathlib, sys, time; "
    code += "pathlib.Path(sys.argv[1], 'learnt').touch(); " if learnt else ""
    return lambda lines, model, programs, threads: [
        [str(programs / "python"), "-c", f"{code}time.sleep(60)", str(model)]
    ]


def test_a_baseline_reads_the_lines_of_every_system(fake):
    params = fake()
    metrics = measure_baseline(params, "fake", OUT)
    predictions = pd.read_parquet(OUT / "predictions.parquet")
    lines = chosen_lines(params)
    assert list(predictions.columns) == COLUMNS
    assert set(predictions["id"]) == set(lines["id"])
    sizes = dict(zip(lines["id"], lines["width"], strict=True))
    for row in predictions.itertuples():
        width = sizes[row.id]
        assert row.reading == ("" if width == 80 else f"{width} 40")
        assert row.confidence == (0 if width == 80 else 0.25)
    whole = lines[lines["level"] == "line"]
    assert metrics["overall"]["lines_hash"] == lines_hash(whole)
    assert set(metrics["datasets"]["drawn"]) == {"word", "line"}


def test_its_row_has_the_shape_of_an_evaluation_and_is_marked(fake):
    metrics = measure_baseline(fake(), "fake", OUT)
    assert metrics == read_figures(OUT)
    told = {"baseline": True, "system": "fake", "why": "", "version": "fake 1.0", "size_mb": 1.5,
            "parameters": 42, "memory_mb": None, "training": []}  # fmt: skip
    assert metrics | told == metrics
    assert metrics["note"] == "lines on which it failed, which count as read empty: 3"
    assert {"overall", "datasets", "tables", "variants", "main", "hub_note"} <= set(metrics)
    speed = json.loads((OUT / "speed.json").read_text())
    assert speed["timed_lines"] == 2
    assert 2 <= speed["latency_p50_ms"] < 1000
    assert [row["width"] for row in speed["by_width"]] == [400, 800, 1600]
    assert all(row["timed_lines"] == 10 for row in speed["by_width"])


def test_speed_alone_where_readings_mean_nothing(fake):
    metrics = measure_baseline(fake(unread="random weights"), "fake", OUT)
    assert metrics["why"] == "random weights"
    assert metrics["parameters"] == 42
    assert "overall" not in metrics
    assert sorted(p.name for p in OUT.iterdir()) == ["metrics.json", "speed.json"]


def test_a_learner_learns_for_its_minutes_and_reads_at_its_height(fake):
    settings = {"datasets": ["drawn"], "levels": ["word", "line"], "minutes": 0.03}
    metrics = measure_baseline(fake(settings, commands=commands(True), height=20), "fake", OUT)
    (trained,) = metrics["training"]
    assert trained == {"stage": "train", "seconds": 1.8, "lines": 4, "threads": 1}
    assert metrics["note"].startswith("trained for 0.03 minutes on 1 threads with 4 lines")
    readings = pd.read_parquet(OUT / "predictions.parquet")["reading"]
    assert all(reading.endswith(" 20") for reading in readings if reading)
    assert not Path(".baselines/fake/scratch").exists()


def test_its_run_stands_beside_the_systems_in_mlflow(fake):
    params = fake()
    metrics = measure_baseline(params, "fake", OUT)
    run = baseline_run(params, "fake", 2.5)
    assert (run.name, run.tags["stage"], run.tags["baseline"]) == ("fake", "evaluate", "true")
    assert run.tags["data"] == "drawn line, drawn word"
    assert run.numbers["cer"] == metrics["overall"]["cer"]
    assert run.numbers["size_mb"] == 1.5
    assert run.numbers["latency_p50_ms"] > 0
    assert "train_seconds" not in run.numbers
    assert run.data["drawn line"] == metrics["overall"]["lines_hash"]
    assert len(run.table) == 12
    assert "| all lines | 11 |" in run.note
    assert len(run.files) == 3


def test_the_run_of_a_baseline_without_rates_says_why(fake):
    params = fake(unread="random weights")
    measure_baseline(params, "fake", OUT)
    run = baseline_run(params, "fake", 2.5)
    assert run.note.startswith("random weights\n\n1.50 MB")
    assert "cer" not in run.numbers
    assert "latency_p50_ms/64x800" in run.numbers
    settings = {"datasets": ["drawn"], "minutes": 0.02}
    params = fake(settings, commands=commands(False))
    measure_baseline(params, "fake", OUT)
    run = baseline_run(params, "fake", 2.5)
    assert run.note == "the fake left no checkpoint at …"
    assert (run.numbers, run.tags["trained_on"]) == ({}, "drawn")


def test_a_baseline_that_fails_leaves_a_row_that_says_why(fake):
    settings = {"datasets": ["drawn"], "minutes": 0.02}
    OUT.mkdir(parents=True)
    (OUT / "speed.json").write_text("of an earlier run")
    metrics = measure_baseline(fake(settings, commands=commands(False)), "fake", OUT)
    assert metrics["why"] == "the fake left no checkpoint at …"
    assert metrics["version"] == ""
    assert metrics["size_mb"] is None
    assert [path.name for path in OUT.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({}, {"commands": commands(True)}, "baselines.fake learns: give it datasets and minutes"),
        ({"minutes": 3}, {}, "baselines.fake learns nothing: write 'fake: {}'"),
        ({"minuets": 3}, {}, "unknown key minuets; did you mean 'minutes'"),
    ],
)
def test_what_params_say_of_a_baseline_is_checked_first(fake, settings, changes, message):
    with pytest.raises(NetchuError, match=message):
        measure_baseline(fake(settings, **changes), "fake", OUT)
    assert not OUT.exists()


def test_a_dataset_that_is_not_there_leaves_nothing(fake):
    params = fake({"datasets": ["drwan"], "minutes": 1}, commands=commands(True))
    with pytest.raises(NetchuError, match="unknown dataset 'drwan'"):
        measure_baseline(params, "fake", OUT)
    assert list(OUT.parent.iterdir()) == list(Path(".baselines/fake").iterdir()) == []


def test_unknown_and_unwanted_baselines_are_named(fake):
    params = fake()
    with pytest.raises(NetchuError, match="unknown baseline 'abbyy'; there are: tesseract, "):
        measure_baseline(params, "abbyy", OUT)
    with pytest.raises(NetchuError, match=r"params\.yaml wants no baseline 'kraken'"):
        measure_baseline(params, "kraken", OUT)


def test_a_baselines_process_sees_this_package_and_its_threads(monkeypatch):
    variables = measuring._environ(3)
    assert variables["OMP_NUM_THREADS"] == variables["OMP_THREAD_LIMIT"] == "3"
    assert (
        Path(variables["PYTHONPATH"]) / "netchu" / "evaluation" / "baselines" / "base.py"
    ).is_file()
    assert sys.prefix not in variables["VIRTUAL_ENV"]
