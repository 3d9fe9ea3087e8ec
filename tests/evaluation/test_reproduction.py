import json
from copy import deepcopy

import pytest

from netchu.core.errors import NetchuError
from netchu.evaluation.reproduction import check_reproduction

REPORT = {
    "seed": 7,
    "systems": {
        "netchu_small": {
            "overall": {"cer": 0.05, "wer": 0.2, "ser": 0.6, "lines": 100, "characters": 2300,
                        "words": 512, "cer_low": 0.04},
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
            "memory_mb": 13.2,
            "parameters": 1_675_000,
            "main": "guarded",
        }
    },
}  # fmt: skip


@pytest.fixture
def failures(tmp_path):
    """Write the report and a changed copy; return the values that are not reproduced, by place."""

    def run(change, tolerance=0.02):
        rebuilt = deepcopy(REPORT)
        change(rebuilt["systems"])
        for name, content in (("a", REPORT), ("b", rebuilt)):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "metrics.json").write_text(json.dumps(content))
        values = check_reproduction(tmp_path / "a", tmp_path / "b", tolerance)
        return {value.place: value for value in values if not value.holds}

    return run


def test_the_same_report_and_one_within_the_tolerance_are_reproduced(failures):
    assert failures(lambda systems: None) == {}
    assert failures(lambda s: s["netchu_small"]["overall"].update(cer=0.07)) == {}
    assert failures(lambda s: s["netchu_small"]["overall"].update(wer=0.26, ser=0.66)) == {}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda s: s["netchu_small"]["overall"].update(cer=0.0701), "overall/cer"),
        (lambda s: s["netchu_small"]["overall"].update(wer=0.2601), "overall/wer"),
        (
            lambda s: s["netchu_small"]["datasets"]["drawn"]["line"].update(ser=1.0),
            "datasets/drawn/line/ser",
        ),
        (lambda s: s["netchu_small"]["overall"].pop("ser"), "overall/ser"),
        (lambda s: s["netchu_small"].update(size_mb=6.8), "size_mb"),
        (lambda s: s["netchu_small"].update(parameters=1_675_001), "parameters"),
        (lambda s: s["netchu_small"].update(memory_mb=13.3), "memory_mb"),
        (lambda s: s["netchu_small"].update(main="free"), "main"),
        (lambda s: s["netchu_small"]["overall"].update(lines=99), "overall/lines"),
        (lambda s: s["netchu_small"]["overall"].update(characters=2301), "overall/characters"),
        (lambda s: s["netchu_small"]["overall"].update(words=511), "overall/words"),
        (
            lambda s: s["netchu_small"]["datasets"]["drawn"]["line"].update(lines_hash="cd"),
            "datasets/drawn/line/lines_hash",
        ),
    ],
)
def test_a_value_that_is_not_reproduced_is_named(failures, change, place):
    assert list(failures(change)) == [f"systems/netchu_small/{place}"]


def test_a_missing_system_fails_with_every_value(failures):
    missing = failures(lambda systems: systems.clear())
    assert len(missing) == 15
    assert {value.rebuilt for value in missing.values()} == {None}


def test_an_additional_system_is_no_failure(failures):
    assert failures(lambda s: s.update(trocr={"overall": {"cer": 1.0}})) == {}


def test_missing_damaged_and_empty_reports_are_named(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(REPORT))
    with pytest.raises(NetchuError, match=r"bad\.json is not here"):
        check_reproduction(good, bad, 0.02)
    bad.write_text("{")
    with pytest.raises(NetchuError, match=r"bad\.json is not JSON"):
        check_reproduction(good, bad, 0.02)
    bad.write_text("{}")
    with pytest.raises(NetchuError, match="holds no value"):
        check_reproduction(bad, good, 0.02)
    bad.write_text('{"systems": {"a": {"overall": {"cer": NaN}}}}')
    with pytest.raises(NetchuError, match=r"bad\.json holds NaN"):
        check_reproduction(good, bad, 0.02)


def test_sums_by_writer_are_not_compared(failures):
    def other_sums(systems):
        systems["netchu_small"]["datasets"]["drawn"]["line"]["sums"]["lines"] = [50, 50]

    assert failures(other_sums) == {}
