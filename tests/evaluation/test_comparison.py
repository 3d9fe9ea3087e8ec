import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluations import TEXT, readings, write_evaluation
from netchu.core.errors import NetchuError
from netchu.evaluation.comparison import (
    SIGNIFICANCE,
    EvaluatedSystem,
    Slice,
    compare_systems,
    load_systems,
    pair_systems,
    regressions,
)
from netchu.evaluation.metrics_io import read_metrics, write_metrics


def system(edits: list[int], part: str = "overall", lines: str = "same") -> EvaluatedSystem:
    """A system with these edits of 10 characters, and as many wrong words and lines."""
    edits_G = np.array(edits, np.float64)
    ones_G = np.ones(len(edits))
    sums = {"edits": edits_G, "characters": 10 * ones_G, "word_edits": np.minimum(edits_G, 2),
            "words": 2 * ones_G, "wrong": np.minimum(edits_G, 1), "lines": ones_G}  # fmt: skip
    return EvaluatedSystem("s", {part: Slice(lines, sums)})


def verdict(before: list[int], after: list[int], pairs: int = 1) -> str:
    (row,) = (r for r in compare_systems(system(before), system(after), pairs) if r.rate == "cer")
    return row.verdict


def test_verdicts():
    some, more = [1, 0, 2, 0] * 10, [2, 1, 2, 1] * 10
    assert verdict(some, more) == "worse"
    assert verdict(more, some) == "better"
    assert verdict(some, some) == "no difference"
    assert verdict([0, 1] * 20, [1, 0] * 20) == "no difference"


def test_more_pairs_need_a_smaller_probability():
    # Worse for 6 writers and better for none: unlikely, but not with a probability below 0.001.
    before, after = [0] * 40, [1] * 6 + [0] * 34
    (row, *_) = compare_systems(system(before), system(after))
    assert SIGNIFICANCE / 100 < row.probability < SIGNIFICANCE
    assert verdict(before, after) == "worse"
    assert verdict(before, after, pairs=100) == "no difference"


def test_fewer_than_6_groups_give_no_verdict():
    assert verdict([0] * 5, [9] * 5) == "too few lines"
    assert verdict([0] * 6, [9] * 6) == "worse"


def test_rates_and_their_change():
    rows = {r.rate: r for r in compare_systems(system([1, 0, 3, 0] * 5), system([1, 0, 0, 0] * 5))}
    cer = rows["cer"]
    assert (cer.before, cer.after, cer.change) == pytest.approx((0.1, 0.025, -0.075))
    assert cer.low < cer.change < cer.high
    assert (rows["wer"].before, rows["ser"].after) == (0.375, 0.25)


def test_only_cer_decides():
    # More lines wrong, with fewer edits in all.
    rows = compare_systems(system([4, 0] * 20), system([1, 1] * 20))
    assert {r.rate: r.verdict for r in rows} == {
        "cer": "better", "wer": "no difference", "ser": "worse"
    }  # fmt: skip
    assert regressions(rows) == []
    rows = compare_systems(system([0] * 20), system([1] * 20))
    assert [r.rate for r in regressions(rows)] == ["cer"]


def test_different_lines_and_no_common_slice_are_errors():
    with pytest.raises(NetchuError, match=r"different lines of overall \(3 and 4\)"):
        compare_systems(system([0] * 3), system([0] * 4, lines="other"))
    with pytest.raises(NetchuError, match="no dataset in common"):
        compare_systems(system([0], "a/line"), system([0], "b/line"))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """Evaluations of two systems and a report of both, made once."""
    home = tmp_path_factory.mktemp("written")
    both = {
        name: write_evaluation(home / name, name, readings(wrong))
        for name, wrong in (("good", 0), ("bad", 9))
    }
    (home / "report").mkdir()
    write_metrics({"systems": both}, home / "report" / "metrics.json")
    return home


@pytest.fixture
def folders(written, tmp_path) -> Path:
    """A copy of `written` that a test may change."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_an_operand_is_an_evaluation_or_a_report_with_or_without_a_system(folders):
    assert list(load_systems(f"{folders}/good")) == ["good"]
    assert list(load_systems(f"{folders}/good/metrics.json")) == ["good"]
    assert list(load_systems(f"{folders}/report")) == ["bad", "good"]
    assert list(load_systems(f"{folders}/report/metrics.json:bad")) == ["bad"]
    found = load_systems(f"{folders}/good")["good"].slices
    assert list(found) == ["overall", "drawn/line"]
    assert found["overall"].sums["lines"].sum() == 60
    assert found["overall"].sums["characters"].sum() == 60 * len(TEXT)


def test_an_operand_is_a_system_of_the_profile(folders, monkeypatch):
    import small_project

    monkeypatch.chdir(folders)
    monkeypatch.setattr("netchu.core.params.load_params", small_project.params)
    home = folders / "models" / "tiny" / "netchu_small" / "evaluation"
    write_evaluation(home, "netchu_small", readings(1))
    assert list(load_systems("netchu_small")) == ["netchu_small"]
    with pytest.raises(NetchuError, match="netchu_smal"):
        load_systems("netchu_smal")


def test_systems_of_reports_are_paired_by_name(folders):
    report = f"{folders}/report"
    assert [(a.name, b.name) for a, b in pair_systems(report, report)] == [
        (f"bad ({report})",) * 2, (f"good ({report})",) * 2
    ]  # fmt: skip
    ((bad, good),) = pair_systems(f"{report}:bad", f"{folders}/good")
    assert {r.verdict for r in compare_systems(bad, good) if r.rate == "cer"} == {"better"}
    assert regressions(compare_systems(good, bad))
    with pytest.raises(NetchuError, match=r"report holds bad, good; name one as .*report:SYSTEM"):
        pair_systems(report, f"{folders}/good")
    with pytest.raises(NetchuError, match="holds bad, good, but not ugly"):
        pair_systems(f"{report}:ugly", report)


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> str:
    content = read_metrics(folder)
    edit(content)
    write_metrics(content, folder / "metrics.json")
    return str(folder)


def test_a_baseline_is_compared_only_if_it_is_named(folders):
    def add(content):
        content["baselines"] = {
            "tesseract": content["systems"]["bad"],
            "vietocr": {"why": "no weights"},
        }

    report = change(folders / "report", add)
    ((baseline, good),) = pair_systems(f"{report}:tesseract", f"{report}:good")
    assert {r.verdict for r in compare_systems(baseline, good) if r.rate == "cer"} == {"better"}
    assert len(pair_systems(report, report)) == 2
    with pytest.raises(NetchuError, match="vietocr has no metrics: no weights"):
        pair_systems(f"{report}:vietocr", f"{report}:good")


def test_the_second_report_must_hold_every_system_and_slice(folders):
    rebuilt = folders / "rebuilt"
    rebuilt.mkdir()
    report = read_metrics(folders / "report")
    write_metrics(report, rebuilt / "metrics.json")
    change(rebuilt, lambda c: c["systems"]["good"]["datasets"].update(drawn={}))
    with pytest.raises(NetchuError, match="good has not read drawn/line"):
        pair_systems(f"{folders}/report", str(rebuilt))
    change(rebuilt, lambda c: c["systems"].update(other=c["systems"].pop("good")))
    with pytest.raises(NetchuError, match="lacks good"):
        pair_systems(f"{folders}/report", str(rebuilt))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["overall"].pop("sums"), "no sums by writer"),
        (lambda c: c["overall"]["sums"].pop("edits"), "no sums by writer"),
        (lambda c: c.pop("overall"), "no sums by writer"),
        (lambda c: c["overall"].pop("lines_hash"), "no sums by writer"),
        (lambda c: c.pop("system"), "no evaluated system"),
        (lambda c: c["overall"]["sums"]["edits"].pop(), "differ in length"),
        (lambda c: [c["overall"]["sums"].update({n: []}) for n in c["overall"]["sums"]],
         "differ in length"),
        (lambda c: c["overall"]["sums"]["edits"].__setitem__(0, -1), "is not a number"),
        (lambda c: c["overall"]["sums"]["edits"].__setitem__(0, None), "is not a number"),
        (lambda c: c["overall"]["sums"]["lines"].__setitem__(0, 0), "a writer without lines"),
    ],
)  # fmt: skip
def test_damaged_metrics_are_errors_that_name_the_file(folders, edit, message):
    folder = change(folders / "good", edit)
    with pytest.raises(NetchuError, match=f"{re.escape(folder)}.*{message}"):
        load_systems(folder)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NetchuError, match="nowhere/reports is not here"):
        load_systems("nowhere/reports")
    with pytest.raises(NetchuError, match=r"nowhere/m\.json is not here"):
        load_systems(f"{tmp_path}/nowhere/m.json")
    with pytest.raises(NetchuError, match=r"metrics\.json is not here"):
        load_systems(str(tmp_path))
