import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import small_project
from evaluations import readings, write_evaluation
from netchu.cli import app

NAMES = ("one", "two", "three")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    system = {"model": small_project.MODEL, "network": "netchu_small"}
    system |= {stage: {"phase1": small_project.PHASE} for stage in ("pretrain", "finetune")}
    project = small_project.params(systems=dict.fromkeys(NAMES, system))
    monkeypatch.setattr("netchu.core.params.load_params", lambda: project)
    for name in NAMES:
        home = tmp_path / "models" / "tiny" / name / "evaluation"
        write_evaluation(home, name, readings(10, 2))
    return lambda *flags: CliRunner().invoke(app.app, ["audit", *flags])


def test_by_default_all_evaluated_systems_are_read(run):
    result = run()
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "2 lines to look at: audit/tiny/suspects.csv\n"
    assert Path("audit/tiny/suspects.csv").is_file()


def test_json_prints_one_object_per_line(run):
    rows = [json.loads(line) for line in run("--json", "--out", "here").stdout.splitlines()]
    assert [row["systems"] for row in rows] == ["one two three"] * 2
    assert Path("here/suspects.csv").is_file()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["one", "two"], "needs 3 evaluated systems"),
        (["one", "two", "four"], "four"),
        (["--sheet"], "lines/drawn"),
    ],
)
def test_something_missing_is_a_one_line_error_and_writes_nothing(run, flags, told):
    result = run(*flags)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("audit").exists()
