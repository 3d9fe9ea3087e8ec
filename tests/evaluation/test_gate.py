"""Each rule of the gate has a change that breaks it."""

from copy import deepcopy

import pandas as pd
import pytest
from typer.testing import CliRunner

from compositions import ROOT
from evaluations import readings, write_evaluation
from netchu.cli import app
from netchu.core.errors import NetchuError
from netchu.evaluation.gate import find_regressions, read_reasons
from netchu.evaluation.metrics_io import write_metrics

SYSTEMS = ("netchu_small", "crnn_vgg", "trocr")


def speed(multiply_adds, relative_time=2.0):
    sample = {"width": 400, "multiply_adds": multiply_adds}
    return {"speed": {"by_width": [sample, sample], "relative_time": relative_time}}


@pytest.fixture
def evaluation(tmp_path):
    """Return a function that evaluates lines, some of them wrong, and words."""

    def evaluate(wrong):
        both = pd.concat([readings(wrong), readings(8, level="word")], ignore_index=True)
        return write_evaluation(tmp_path / "evaluation", "x", both) | {"size_mb": 4.0}

    return evaluate


@pytest.fixture
def faults(tmp_path, evaluation):
    """Return a function that applies a change to a report; it returns what the gate finds."""
    metrics = {"systems": {name: evaluation(8) for name in SYSTEMS}}
    speeds = {name: speed(1000) for name in SYSTEMS}
    reasons = tmp_path / "reasons.yaml"

    def write(folder, metrics, speeds):
        folder.mkdir()
        write_metrics(metrics, folder / "metrics.json")
        write_metrics(speeds, folder / "speed.json")

    def run(change=lambda systems, speeds: None, reason="", margin=0.0):
        new_metrics, new_speeds = deepcopy(metrics), deepcopy(speeds)
        change(new_metrics["systems"], new_speeds)
        write(tmp_path / "before", metrics, speeds)
        write(tmp_path / "after", new_metrics, new_speeds)
        reasons.write_text(reason)
        return find_regressions(tmp_path / "before", tmp_path / "after", reasons, margin)

    run.before = metrics
    return run


def test_an_equal_report_passes(faults):
    assert faults() == []


def test_one_system_that_reads_worse_fails(faults, evaluation):
    found = faults(lambda systems, _: systems.update(crnn_vgg=evaluation(9)))
    assert [fault.partition(": ")[2] for fault in found] == [
        "overall reads worse, CER 2.0 % → 3.9 %", "drawn/line reads worse, CER 2.0 % → 3.9 %"
    ]  # fmt: skip
    assert all(fault.startswith("crnn_vgg (") for fault in found)


@pytest.mark.parametrize(("margin", "found"), [(0.021, 0), (0.018, 2)])
def test_only_a_rise_beyond_the_margin_fails(faults, evaluation, margin, found):
    """CER rises from 2.0 to 3.9 %."""
    change = faults(lambda systems, _: systems.update(crnn_vgg=evaluation(9)), margin=margin)
    assert len(change) == found


@pytest.mark.parametrize(("before", "after", "found"), [(1, 1, 0), (1, 0, 2), (0, 1, 2)])
def test_the_readings_of_a_random_checkpoint_are_not_compared(
    faults, evaluation, before, after, found
):
    notes = ["small checkpoint, pretrained here", "tiny random checkpoint"]

    def change(systems, _):
        systems.update(trocr=evaluation(9) | {"hub_note": notes[after]})

    faults.before["systems"]["trocr"]["hub_note"] = notes[before]
    assert len(faults(change)) == found


@pytest.mark.parametrize(("before", "after", "found"), [(1, 0, 0), (0, 0, 1), (1, 1, 1)])
def test_a_system_that_was_random_before_may_grow_when_it_is_taught(
    faults, evaluation, before, after, found
):
    notes = ["small checkpoint, pretrained here", "tiny random checkpoint"]

    def change(systems, _):
        larger = 2 * systems["trocr"]["size_mb"]
        systems.update(trocr=evaluation(0) | {"hub_note": notes[after], "size_mb": larger})

    faults.before["systems"]["trocr"]["hub_note"] = notes[before]
    assert len(faults(change)) == found


def test_a_system_that_reads_better_passes(faults, evaluation):
    assert faults(lambda systems, _: systems.update(crnn_vgg=evaluation(0))) == []


def test_one_level_that_reads_worse_fails(faults, evaluation):
    def change(systems, _):
        systems["trocr"]["datasets"]["drawn"]["line"] = evaluation(9)["datasets"]["drawn"]["line"]

    (fault,) = faults(change)
    assert "trocr" in fault
    assert "drawn/line reads worse" in fault


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda systems: systems.pop("trocr"), "lacks trocr"),
        (lambda systems: systems["trocr"]["datasets"].clear(), "trocr has not read drawn/line"),
        (lambda systems: systems["trocr"]["datasets"]["drawn"].pop("word"), "not read drawn/word"),
        (lambda systems: systems["trocr"]["overall"].pop("sums"), "no sums by writer"),
        (lambda systems: systems["trocr"]["overall"].pop("lines_hash"), "no sums by writer"),
    ],
)
def test_a_report_from_which_something_is_gone_fails(faults, change, message):
    with pytest.raises(NetchuError, match=message):
        faults(lambda systems, _: change(systems))


def other_lines(systems, _):
    """Twice as many errors, on lines that are said to be others."""
    overall = systems["trocr"]["overall"]
    overall["sums"]["edits"] = [9 * edits for edits in overall["sums"]["edits"]]
    overall["lines_hash"] = "12ab"


def test_other_test_lines_fail_without_a_reason(faults):
    (fault,) = faults(other_lines)
    assert "trocr" in fault
    assert "overall has other test lines" in fault
    assert "12ab: REASON" in fault


def test_a_reason_for_other_hashes_does_not_help(faults):
    assert len(faults(other_lines, "34cd: the split is published now")) == 1


def test_other_test_lines_pass_with_their_reason(faults):
    assert faults(other_lines, "12ab: the split is published now") == []


def test_the_other_datasets_are_still_compared(faults, evaluation):
    def change(systems, speeds):
        systems["trocr"] = evaluation(9)
        other_lines(systems, speeds)

    (fault,) = faults(change, "12ab: the split is published now")
    assert "drawn/line reads worse" in fault


@pytest.mark.parametrize("reason", ["12ab:", "12ab: ''", "12ab", "12ab: [", "12ab: 5"])
def test_a_reason_is_a_text(faults, reason):
    with pytest.raises(NetchuError, match=r"reasons\.yaml"):
        faults(other_lines, reason)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda systems, _: systems["trocr"].update(size_mb=4.5), "4 → 4.5 MB"),
        (lambda systems, _: systems["trocr"].pop("size_mb"), "lacks its MB"),
        (lambda _, speeds: speeds.update(trocr=speed(1200)), "2000 → 2400 multiply-adds"),
        (lambda _, speeds: speeds["trocr"]["speed"].pop("by_width"), "lacks its multiply-adds"),
        (lambda _, speeds: speeds.update(trocr=speed(1000, 4.1)), "2 → 4.1 times the reference"),
        (lambda _, speeds: speeds.update(trocr=speed(1000, None)), "lacks its times the reference"),
    ],
)
def test_a_larger_system_or_more_arithmetic_fails(faults, change, message):
    (fault,) = faults(change)
    assert message in fault


@pytest.mark.parametrize("relative_time", [0.1, 3.9])
def test_a_relative_time_may_vary(faults, relative_time):
    assert faults(lambda _, speeds: speeds.update(trocr=speed(1000, relative_time))) == []


@pytest.mark.parametrize("size_mb", [0.4, 4.4])
def test_a_little_growth_passes(faults, size_mb):
    def change(systems, speeds):
        systems["trocr"].update(size_mb=size_mb)
        speeds.update(trocr=speed(1100))

    assert faults(change) == []


def test_the_exit_code_of_the_command(faults, tmp_path):
    def run(*arguments):
        paths = [str(tmp_path / name) for name in ("before", "after")]
        done = CliRunner().invoke(app.app, ["gate", *paths, *arguments])
        return done.exit_code, done.stderr.count("\n")

    faults(other_lines, "12ab: the split is published now")
    assert run("--new-lines", str(tmp_path / "reasons.yaml")) == (0, 0)
    (tmp_path / "reasons.yaml").write_text("")
    assert run("--new-lines", str(tmp_path / "reasons.yaml")) == (1, 1)
    assert run("--new-lines", str(tmp_path / "nowhere.yaml")) == (2, 1)
    (tmp_path / "after" / "metrics.json").unlink()
    assert run("--new-lines", str(tmp_path / "reasons.yaml")) == (2, 1)


def test_the_committed_reasons_can_be_read():
    read_reasons(ROOT / "reports" / "new_test_lines.yaml")
