import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from evaluations import readings, write_evaluation
from netchu.cli import app
from netchu.evaluation.metrics_io import write_metrics


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("evaluations")
    write_evaluation(tmp_path / "good", "good", readings(0))
    write_evaluation(tmp_path / "bad", "bad", readings(9))
    write_evaluation(tmp_path / "other", "other", readings(0, 40))
    both_levels = pd.concat([readings(0), readings(0, level="word")], ignore_index=True)
    write_evaluation(tmp_path / "more", "more", both_levels)

    return tmp_path


@pytest.fixture
def run(folders):
    def invoke(before, after, *flags):
        paths = [str(folders / name) for name in (before, after)]
        return CliRunner().invoke(app.app, ["compare", *paths, *flags])

    return invoke


def test_the_exit_code_says_whether_the_second_is_worse(run):
    assert run("good", "bad").exit_code == 1
    assert run("bad", "good").exit_code == 0
    assert run("good", "good").exit_code == 0


def with_errors(writers):
    """Readings of 40 writers, of whom the first `writers` have a line that is misread."""
    frame = readings(0, 40)
    wrong = [f"{text}x" if n < writers else text for n, text in enumerate(frame["text"])]
    return frame.assign(writer=[f"hand {n}" for n in range(40)], reading=wrong)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Reports of the systems one and two, by the number of writers with errors of each."""
    folder = tmp_path_factory.mktemp("reports")
    for first, second in ((0, 0), (4, 0), (20, 0), (0, 20)):
        home = folder / f"{first} {second}"
        both = {
            name: write_evaluation(home / name, name, with_errors(number))
            for name, number in (("one", first), ("two", second))
        }
        write_metrics({"systems": both}, home / "metrics.json")
    return folder


@pytest.mark.parametrize("after", ["20 0", "0 20"])
def test_one_worse_system_among_several_is_enough(reports, after):
    done = CliRunner().invoke(app.app, ["compare", str(reports / "0 0"), str(reports / after)])
    assert done.exit_code == 1
    assert json.loads(
        CliRunner().invoke(
            app.app, ["compare", str(reports / "0 0"), str(reports / after), "--json"]
        ).stdout
    )["worse"]  # fmt: skip


def test_systems_that_are_compared_together_share_the_significance_level(reports):
    # Worse for 4 of 40 writers: no resample holds any of them with (36/40)^40 = 0.0148, of which
    # half counts: 0.0074. Alone, a slice may have 0.025 / 2 slices, of two systems half of that.
    before, after = (str(reports / name) for name in ("0 0", "4 0"))
    together = CliRunner().invoke(app.app, ["compare", before, after])
    alone = CliRunner().invoke(app.app, ["compare", f"{before}:one", f"{after}:one"])
    assert (together.exit_code, alone.exit_code) == (0, 1)


def test_systems_that_read_different_lines_are_a_one_line_error(run):
    result = run("good", "other")
    assert result.exit_code == 2
    assert "different lines of overall (60 and 40)" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert run("good", "nowhere").exit_code == 2


def test_the_table_shows_metrics_and_verdict(run):
    text = run("good", "bad").stdout
    for part in ("overall", "drawn/line", "CER", "WER", "SER", "worse", "0.0000"):
        assert part in text, part
    assert "read only by" not in text


def test_json_holds_the_rows_of_the_table(run):
    told = json.loads(run("good", "bad", "--json").stdout)
    assert told["worse"] is True
    (pair,) = told["pairs"]
    assert pair["before"].startswith("good (")
    first = pair["rows"][0]
    assert (first["place"], first["rate"], first["verdict"]) == ("overall", "cer", "worse")
    assert pair["not_compared"] == {}


def test_a_slice_that_one_system_has_not_read_is_named_and_not_compared(run):
    result = run("good", "more")
    assert result.exit_code == 0
    told = " ".join(result.stdout.split())
    assert "read only by more (" in told
    assert told.endswith("): drawn/word")
    (pair,) = json.loads(run("more", "good", "--json").stdout)["pairs"]
    assert list(pair["not_compared"].values()) == [["drawn/word"]]
    assert {row["place"] for row in pair["rows"]} == {"overall", "drawn/line"}
