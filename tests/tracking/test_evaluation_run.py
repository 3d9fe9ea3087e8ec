import json

import pytest

import small_project
import tracked_project
from netchu.core.errors import NetchuError
from netchu.evaluation import evaluate
from netchu.tracking.evaluation_run import MAX_READINGS, evaluation_run, sample_readings
from netchu.tracking.views import systems_view


@pytest.fixture
def project(project_folder):
    params = tracked_project.params(profile="evaluated")
    blocks = {"line": tracked_project.block(8), "word": tracked_project.block(12, "99")}
    tracked_project.write_system(
        params, "aa", 10, datasets={"drawn": blocks, "x": {}}, note="too small",
        variants={"free": {"overall": tracked_project.block(30)}},
    )  # fmt: skip
    return params


@pytest.fixture
def run(project):
    return evaluation_run(project, tracked_project.SYSTEM, 1.5)


def test_the_run_has_the_systems_name_and_the_test_data(run):
    assert run.name == "netchu_small"
    assert run.tags["data"] == "drawn line, drawn word"
    assert run.datasets == {"drawn line": "0123456789abcdef", "drawn word": "99"}
    assert (run.tags["split"], run.split) == ("test", "test")
    assert run.tags["machine"] == "some, 2 cores"
    assert run.tags["trained_on"] == "drawn"


def test_metrics_are_logged_overall_and_by_slice_with_intervals(run):
    assert run.metrics["cer"] == run.metrics["interval/cer low"] == 0.1
    assert run.metrics["cer/drawn line"] == run.metrics["interval/cer drawn line high"] == 0.08
    assert run.metrics["ser/drawn word"] == 0.12
    assert run.metrics["variant/free cer"] == 0.3
    shares = [value for name, value in run.metrics.items() if name.startswith("errors/")]
    assert sum(shares) == pytest.approx(0.1)
    assert not any("lines_hash" in name or "sums" in name for name in run.metrics)


RATES = ("cer", "wer", "ser", "cer_folded", "kalapa_score", "ece")


def distinct(start):
    """Metrics of a slice of which no two have the same value."""
    block = tracked_project.block(10)
    names = [name for name, value in block.items() if isinstance(value, float)]
    return block | {name: round(start + 0.001 * n, 3) for n, name in enumerate(names)}


def test_every_metric_is_logged_under_its_own_name(project_folder):
    params = tracked_project.params(profile="distinct")
    overall, line, word, free = (distinct(start) for start in (0.1, 0.2, 0.3, 0.4))
    tracked_project.write_system(
        params, "aa", 10, overall=overall, datasets={"drawn": {"line": line, "word": word}},
        variants={"free": {"overall": free}},
    )  # fmt: skip
    run = evaluation_run(params, tracked_project.SYSTEM, 1.5)
    values = [value for block in (overall, line, word, free) for value in block.values()
              if isinstance(value, float)]  # fmt: skip
    assert len(set(values)) == len(values)
    expected = {name: overall[name] for name in RATES}
    for name in ("cer", "wer", "ser"):
        expected |= {
            f"{name}/drawn line": line[name], f"{name}/drawn word": word[name],
            f"variant/free {name}": free[name],
            f"interval/{name} low": overall[f"{name}_low"],
            f"interval/{name} high": overall[f"{name}_high"],
        }  # fmt: skip
    expected |= {
        f"interval/cer drawn {level} {end}": block[f"cer_{end}"]
        for level, block in (("line", line), ("word", word))
        for end in ("low", "high")
    }
    expected |= {f"errors/{kind}": overall[f"{kind}_errors"] for kind in tracked_project.KINDS}
    expected |= {f"errors/{name}": overall[name] for name in ("missing", "extra")}
    logged = {name: run.metrics[name] for name in expected}
    assert logged == expected
    cells = {cells[1]: cells[3:-1] for row in run.note.splitlines()
             if len(cells := [cell.strip() for cell in row.split("|")]) > 2}  # fmt: skip
    titles = ["CER", "95 % interval", "WER", "SER"]
    assert cells["lines of"] == titles
    assert cells["drawn word"] == [
        f"{100 * word['cer']:.1f} %", f"{100 * word['cer_low']:.1f}–{100 * word['cer_high']:.1f}",
        f"{100 * word['wer']:.1f} %", f"{100 * word['ser']:.1f} %",
    ]  # fmt: skip


def test_the_split_of_the_run_is_the_one_that_was_evaluated(project):
    evaluate = {"datasets": ["drawn"], "split": "val"}
    validating = tracked_project.params(profile="evaluated", evaluate=evaluate)
    run = evaluation_run(validating, tracked_project.SYSTEM, 1.5)
    assert (run.split, run.tags["split"]) == ("val", "val")


def test_size_speed_and_times_are_logged(run):
    expected = {"size_mb": 2.0, "memory_mb": 4.0, "parameters": 500_000, "latency_p50_ms": 3.0,
                "latency_p95_ms": 4.0,
              "throughput_lines_per_s": 300.5, "latency_p50_ms/64x800": 5.0,
              "multiply_adds/64x800": 12, "train_seconds": 123.0}  # fmt: skip
    assert expected.items() <= run.metrics.items()
    assert run.seconds == 1.5


def test_unknown_times_are_left_out(project):
    for stage in ("pretrain", "finetune"):
        (tracked_project.home(project) / f"{stage}.cost.json").unlink()
    assert "train_seconds" not in evaluation_run(project, tracked_project.SYSTEM, 1.5).metrics


def test_the_note_is_a_markdown_table(run):
    assert run.note.startswith("too small\n\n| lines of |")
    assert "| drawn line | 800 | 8.0 % | 8.0–8.0 | 8.0 % | 8.0 % |" in run.note
    assert run.note.endswith("3.0 ms a line (p95 4.0 ms) with 1 thread of some, 2 cores.")


def test_the_sample_has_the_same_lines_for_every_system():
    every = tracked_project.readings()
    table = sample_readings(every, "main")
    other = sample_readings(every.assign(reading="").iloc[::-1], "main")
    assert table["line"].tolist() == other["line"].tolist()
    assert table["level"].value_counts().to_dict() == {"line": MAX_READINGS // 2, "word": 5}
    assert table["line"].is_unique
    assert table["right"].tolist() == [int(i.split("-")[1]) % 2 == 1 for i in table["line"]]


def test_a_system_that_is_not_evaluated_is_an_error(project):
    (tracked_project.home(project) / "evaluation" / "metrics.json").unlink()
    with pytest.raises(NetchuError, match=r"evaluation/metrics\.json is not here"):
        evaluation_run(project, tracked_project.SYSTEM, 1.5)


def test_the_time_of_training_has_no_more_digits_than_that_of_its_stages(project):
    for stage, seconds in {"pretrain": 161.3, "finetune": 84.3}.items():
        cost = tracked_project.home(project) / f"{stage}.cost.json"
        cost.write_text(json.dumps({"seconds": seconds}))
    run = evaluation_run(project, tracked_project.SYSTEM, 1.5)
    assert run.metrics["train_seconds"] == 245.6


def test_the_view_uses_metrics_that_an_evaluation_logs(run):
    ((key, envelope),) = systems_view().items()
    state = json.loads(json.loads(envelope)["state"])
    assert key.startswith("mlflow.sharedViewState.")
    columns = [c.split("`")[1] for c in state["selectedColumns"] if c.startswith("metrics")]
    axes = [
        chart[axis]["key"] for chart in state["compareRunCharts"] for axis in ("xaxis", "yaxis")
    ]
    assert {*columns, *axes} <= set(run.metrics)
    assert state["orderByKey"] == "metrics.`cer`"


def test_the_run_of_a_real_evaluation(project_folder):
    params = small_project.params(profile="whole")
    small_project.write_lines(params)
    small_project.write_model(params)
    home = tracked_project.home(params)
    metrics = evaluate.evaluate_system(params, tracked_project.SYSTEM, home / "evaluation")
    evaluate.time_system(params, tracked_project.SYSTEM, home / "speed.json")
    run = evaluation_run(params, tracked_project.SYSTEM, 1.5)
    assert run.metrics["cer"] == metrics["overall"]["cer"]
    assert run.metrics["cer/drawn line"] == metrics["datasets"]["drawn"]["line"]["cer"]
    assert run.metrics["latency_p50_ms"] > 0
    assert len(run.readings) == 12
