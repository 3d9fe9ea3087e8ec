import json
from copy import deepcopy

import pytest
from typer.testing import CliRunner

from netchu.cli import app

RATES = {"cer": 0.1, "wer": 0.2, "ser": 0.3, "lines": 60, "lines_hash": "ab"}
REPORT = {"seed": 7, "systems": {"netchu_small": {"size_mb": 0.5, "overall": RATES}}}


@pytest.fixture
def run(tmp_path):
    """Run `netchu verify` on REPORT and a copy of it, of which `changes` replace overall values."""

    def verify(*options, **changes):
        rebuilt = deepcopy(REPORT)
        rebuilt["systems"]["netchu_small"]["overall"].update(changes)
        for name, content in (("a", REPORT), ("b", rebuilt)):
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        paths = [str(tmp_path / f"{name}.json") for name in "ab"]
        return CliRunner(env={"COLUMNS": "120"}).invoke(app.app, ["verify", *paths, *options])

    return verify


@pytest.mark.parametrize(
    ("options", "changes", "code", "verdict"),
    [
        ([], {}, 0, "6 of 6 values reproduced"),
        ([], {"cer": 0.11}, 0, "within"),
        ([], {"cer": 0.9}, 1, "FAILS"),
        (["--tolerance", "0.001"], {"cer": 0.11}, 1, "5 of 6 values reproduced"),
        ([], {"lines_hash": "cd"}, 1, "FAILS"),
    ],
)
def test_it_exits_with_1_if_a_value_is_not_reproduced(run, options, changes, code, verdict):
    done = run(*options, **changes)
    assert (done.exit_code, verdict in done.stdout) == (code, True)


def test_a_missing_report_is_a_one_line_error(tmp_path):
    done = CliRunner().invoke(app.app, ["verify", str(tmp_path / "no"), str(tmp_path / "report")])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
