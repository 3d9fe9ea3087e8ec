import json
import subprocess
import sys
from copy import deepcopy

import pytest

from netchu.core.errors import NetchuError
from netchu.evaluation.reproduction import verify

REPORT = {
    "seed": 7,
    "systems": {
        "netchu_small": {
            "overall": {"cer": 0.05, "wer": 0.2, "ser": 0.6, "lines": 100, "cer_low": 0.04},
            "datasets": {
                "drawn": {
                    "line": {
                        "cer": 0.05,
                        "wer": 0.2,
                        "ser": 0.6,
                        "lines": 100,
                        "lines_hash": "ab",
                        "sums": {"lines": [60, 40]},
                    }
                }
            },
            "size_mb": 6.7,
            "parameters": 1_675_000,
        }
    },
}


@pytest.fixture
def compare(tmp_path):
    """Write the report and a changed copy; return the failures of comparing them."""

    def run(change, tolerance=0.02):
        rebuilt = deepcopy(REPORT)
        change(rebuilt["systems"])
        for name, content in (("a", REPORT), ("b", rebuilt)):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "metrics.json").write_text(json.dumps(content))
        return verify(tmp_path / "a", tmp_path / "b", tolerance)

    return run


def test_the_same_report_and_one_within_the_tolerance_hold(compare):
    assert compare(lambda systems: None) == []
    assert compare(lambda s: s["netchu_small"]["overall"].update(cer=0.07)) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda s: s["netchu_small"]["overall"].update(cer=0.0701), "netchu_small/overall/cer"),
        (lambda s: s["netchu_small"]["overall"].update(wer=0.1), "netchu_small/overall/wer"),
        (
            lambda s: s["netchu_small"]["datasets"]["drawn"]["line"].update(ser=1.0),
            "drawn/line/ser",
        ),
        (lambda s: s["netchu_small"]["overall"].pop("ser"), "netchu_small/overall/ser"),
        (lambda s: s["netchu_small"].update(size_mb=6.8), "size_mb"),
        (lambda s: s["netchu_small"].update(parameters=1_675_001), "parameters"),
        (lambda s: s["netchu_small"]["overall"].update(lines=99), "overall/lines"),
        (
            lambda s: s["netchu_small"]["datasets"]["drawn"]["line"].update(lines_hash="cd"),
            "drawn/line/lines_hash",
        ),
    ],
)
def test_a_figure_that_is_not_reproduced_is_named(compare, change, place):
    (failure,) = compare(change)
    assert place in failure


def test_a_system_that_is_gone_fails_every_figure_of_it(compare):
    failures = compare(lambda systems: systems.clear())
    assert len(failures) == 11
    assert all("nothing was rebuilt" in failure for failure in failures)


def test_more_than_was_reported_is_no_failure(compare):
    assert compare(lambda s: s.update(trocr={"overall": {"cer": 1.0}})) == []


def test_the_command_exits_1_only_where_a_figure_fails(compare, tmp_path):
    def exit_code() -> int:
        command = [
            sys.executable,
            "-m",
            "netchu.evaluation.reproduction",
            tmp_path / "a",
            tmp_path / "b",
        ]
        return subprocess.run(command, capture_output=True, check=False).returncode

    compare(lambda systems: None)
    assert exit_code() == 0
    compare(lambda s: s["netchu_small"]["overall"].update(cer=0.9))
    assert exit_code() == 1
    (tmp_path / "b" / "metrics.json").unlink()
    assert exit_code() == 2


def test_missing_broken_and_empty_reports_are_named(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(REPORT))
    with pytest.raises(NetchuError, match=r"bad\.json is not here"):
        verify(good, bad, 0.02)
    bad.write_text("{")
    with pytest.raises(NetchuError, match=r"bad\.json is not JSON"):
        verify(good, bad, 0.02)
    bad.write_text("{}")
    with pytest.raises(NetchuError, match="holds no figure"):
        verify(bad, good, 0.02)
    bad.write_text('{"systems": {"a": {"overall": {"cer": NaN}}}}')
    with pytest.raises(NetchuError, match=r"bad\.json holds NaN"):
        verify(good, bad, 0.02)


def test_sums_by_writer_are_no_figures_to_reproduce(compare):
    def other_sums(systems):
        systems["netchu_small"]["datasets"]["drawn"]["line"]["sums"]["lines"] = [50, 50]

    assert compare(other_sums) == []
