"""Adding one metric to the registry adds it everywhere."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

import small_report
import tracked_project
from netchu.evaluation.comparison import compare_systems, load_systems
from netchu.evaluation.metrics import registry
from netchu.evaluation.metrics.edits import ERROR_CLASSES, score_lines
from netchu.evaluation.metrics.registry import COUNTS, METRICS, Metric
from netchu.evaluation.metrics_io import read_metrics
from netchu.evaluation.reproduction import check_reproduction
from netchu.report.build import build_report
from netchu.tracking.evaluation_run import evaluation_run
from netchu.tracking.views import systems_view

ADDED = Metric(
    "deletion_rate", "missing", "characters", "deletions", compared=True,
    tables=("leaderboard", "variants"),
)  # fmt: skip
SYSTEM = "netchu_small"


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Two evaluated systems and a report, with one more metric than METRICS."""
    home = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(registry, "METRICS", (*METRICS, ADDED))
        params = small_report.params()
        small_report.write_profile(params, netchu_small=0.1, crnn_vgg=0.5)
        build_report(params, params.models, Path("report"))
    return home, params


@pytest.fixture
def project(reported, monkeypatch):
    """The params of `reported`, in its folder."""
    home, params = reported
    monkeypatch.chdir(home)
    monkeypatch.setattr(registry, "METRICS", (*METRICS, ADDED))
    return params


def evaluation(system: str) -> Path:
    return Path("models/tiny") / system / "evaluation"


def test_an_added_metric_is_in_metrics_json(project):
    overall = read_metrics(evaluation(SYSTEM))["overall"]
    assert overall["deletion_rate_low"] <= overall["deletion_rate"] <= overall["deletion_rate_high"]
    assert overall["deletion_rate"] == overall["missing"]
    assert len(overall["sums"]["missing"]) == len(overall["sums"]["characters"])


def test_an_added_metric_is_in_the_leaderboard(project):
    heading, *rows = [
        [cell.strip() for cell in line.split("|")]
        for line in Path("report/leaderboard.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    value = read_metrics(evaluation(SYSTEM))["overall"]["deletion_rate"]
    assert rows[0][heading.index("deletions")] == ADDED.format(value)
    (row, _) = read_metrics(Path("report/leaderboard.json"))["systems"]
    assert row["deletion_rate"] == value
    assert ">deletions</th>" in Path("report/report.html").read_text(encoding="utf-8")


def test_an_added_metric_is_compared(project):
    (before,) = load_systems(str(evaluation("crnn_vgg"))).values()
    (after,) = load_systems(str(evaluation(SYSTEM))).values()
    rows = {(row.place, row.rate): row for row in compare_systems(before, after)}
    value = read_metrics(evaluation(SYSTEM))["overall"]["deletion_rate"]
    assert rows["overall", "deletion_rate"].after == pytest.approx(value, abs=1e-6)


def test_an_evaluation_without_an_added_metric_is_compared_in_the_others(project, monkeypatch):
    (new,) = load_systems(str(evaluation(SYSTEM))).values()
    monkeypatch.setattr(registry, "METRICS", METRICS)
    small_report.write_system(project, "trocr", small_report.predictions(0.1))
    monkeypatch.setattr(registry, "METRICS", (*METRICS, ADDED))
    (old,) = load_systems(str(evaluation("trocr"))).values()
    rates = {row.rate for row in compare_systems(old, new)}
    assert rates == {"cer", "wer", "ser"}


def test_an_added_metric_has_to_be_reproduced(project):
    values = {value.place for value in check_reproduction(Path("report"), Path("report"), 0.0)}
    assert f"systems/{SYSTEM}/overall/deletion_rate" in values


def test_an_added_metric_is_in_the_mlflow_run(project):
    block = tracked_project.block(10)
    added = {f"deletion_rate{end}": 0.04 for end in ("", "_low", "_high")}
    changes = {"overall": block | added, "datasets": {"drawn": {"line": block | added}}}
    params = tracked_project.params(profile="added")
    tracked_project.write_system(params, "aa", 10, **changes)
    run = evaluation_run(params, SYSTEM, 1.0)
    for name in ("deletion_rate", "deletion_rate/drawn line", "interval/deletion_rate high"):
        assert run.metrics[name] == 0.04
    assert "| deletions |" in run.note
    (view,) = systems_view().values()
    assert "metrics.`deletion_rate`" in view


def test_every_metric_has_its_columns_and_one_decides():
    columns = set(score_lines(["Tổ 3"], ["to 3"]).columns)
    assert {name for m in METRICS for name in (m.numerator, m.denominator)} <= columns
    assert {metric.denominator for metric in METRICS} == set(COUNTS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    (decides,) = (metric for metric in METRICS if metric.decides)
    assert decides.compared and registry.compared_metrics()[0] == decides
    classes = [metric.numerator for metric in registry.breakdown_metrics("class")]
    assert tuple(classes) == ERROR_CLASSES


def test_the_best_value_sorts_first():
    score = dataclasses.replace(ADDED, lower_is_better=False)
    assert pd.Series([0.1, 0.3, 0.2]).map(score.sort_key).argmin() == 1
    assert pd.Series([0.1, 0.3, 0.2]).map(ADDED.sort_key).argmin() == 0
