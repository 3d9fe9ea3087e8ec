import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from evaluations import readings, write_evaluation
from netchu.cli import app


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
