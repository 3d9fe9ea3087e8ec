import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import TEXT, readings, write_evaluation

from netchu.core.errors import NetchuError
from netchu.evaluation.comparison import NOISE, Place, System, compare, pairs, systems, worse
from netchu.evaluation.metrics_io import read_figures, write_figures


def system(edits: list[int], place: str = "overall", lines: str = "same") -> System:
    """A system with these edits of 10 characters, and as many wrong words and lines."""
    edits_G = np.array(edits, np.float64)
    ones_G = np.ones(len(edits))
    sums = {"edits": edits_G, "characters": 10 * ones_G, "word_edits": np.minimum(edits_G, 2),
            "words": 2 * ones_G, "wrong": np.minimum(edits_G, 1), "lines": ones_G}  # fmt: skip
    return System("s", {place: Place(lines, sums)})


def verdict(before: list[int], after: list[int], among: int = 1) -> str:
    (row,) = (r for r in compare(system(before), system(after), among) if r.rate == "cer")
    return row.verdict


def test_verdicts():
    some, more = [1, 0, 2, 0] * 10, [2, 1, 2, 1] * 10
    assert verdict(some, more) == "worse"
    assert verdict(more, some) == "better"
    assert verdict(some, some) == "no difference"
    assert verdict([0, 1] * 20, [1, 0] * 20) == "no difference"


def test_who_looks_at_more_needs_more():
    # Worse for 6 writers and better for none: seldom by chance, but not one time in a thousand.
    before, after = [0] * 40, [1] * 6 + [0] * 34
    (row, *_) = compare(system(before), system(after))
    assert NOISE / 100 < row.probability < NOISE
    assert verdict(before, after) == "worse"
    assert verdict(before, after, among=100) == "no difference"


def test_so_few_groups_prove_nothing():
    assert verdict([0] * 5, [9] * 5) == "too few lines"
    assert verdict([0] * 6, [9] * 6) == "worse"


def test_figures_by_hand():
    rows = {r.rate: r for r in compare(system([1, 0, 3, 0] * 5), system([1, 0, 0, 0] * 5))}
    cer = rows["cer"]
    assert (cer.before, cer.after, cer.change) == pytest.approx((0.1, 0.025, -0.075))
    assert cer.low < cer.change < cer.high
    assert (rows["wer"].before, rows["ser"].after) == (0.375, 0.25)


def test_cer_alone_decides():
    # More lines wrong, with fewer edits in all.
    rows = compare(system([4, 0] * 20), system([1, 1] * 20))
    assert {r.rate: r.verdict for r in rows} == {
        "cer": "better", "wer": "no difference", "ser": "worse"
    }  # fmt: skip
    assert worse(rows) == []
    assert [r.rate for r in worse(compare(system([0] * 20), system([1] * 20)))] == ["cer"]


def test_other_lines_and_nothing_in_common_are_errors():
    with pytest.raises(NetchuError, match=r"other lines of overall \(3 and 4\)"):
        compare(system([0] * 3), system([0] * 4, lines="other"))
    with pytest.raises(NetchuError, match="no dataset in common"):
        compare(system([0], "a/line"), system([0], "b/line"))


@pytest.fixture
def folders(tmp_path) -> Path:
    for name, wrong in (("good", 0), ("bad", 9)):
        write_evaluation(tmp_path / name, name, readings(wrong))
    both = {name: read_figures(tmp_path / name) for name in ("good", "bad")}
    (tmp_path / "report").mkdir()
    write_figures({"systems": both}, tmp_path / "report" / "metrics.json")
    return tmp_path


def test_what_can_be_named(folders):
    assert list(systems(f"{folders}/good")) == ["good"]
    assert list(systems(f"{folders}/good/metrics.json")) == ["good"]
    assert list(systems(f"{folders}/report")) == ["bad", "good"]
    assert list(systems(f"{folders}/report/metrics.json:bad")) == ["bad"]
    found = systems(f"{folders}/good")["good"].places
    assert list(found) == ["overall", "drawn/line"]
    assert found["overall"].sums["lines"].sum() == 60
    assert found["overall"].sums["characters"].sum() == 60 * len(TEXT)


def test_a_system_of_the_profile_is_found_by_its_name(folders, monkeypatch):
    import small_project

    monkeypatch.chdir(folders)
    monkeypatch.setattr("netchu.core.params.load_params", small_project.params)
    home = folders / "models" / "tiny" / "netchu_small" / "evaluation"
    write_evaluation(home, "netchu_small", readings(1))
    assert list(systems("netchu_small")) == ["netchu_small"]
    with pytest.raises(NetchuError, match="netchu_smal"):
        systems("netchu_smal")


def test_reports_are_paired_by_name(folders):
    report = f"{folders}/report"
    assert [(a.name, b.name) for a, b in pairs(report, report)] == [
        (f"bad ({report})",) * 2, (f"good ({report})",) * 2
    ]  # fmt: skip
    ((bad, good),) = pairs(f"{report}:bad", f"{folders}/good")
    assert {r.verdict for r in compare(bad, good) if r.rate == "cer"} == {"better"}
    assert worse(compare(good, bad))
    with pytest.raises(NetchuError, match=r"report holds bad, good; name one as .*report:SYSTEM"):
        pairs(report, f"{folders}/good")
    with pytest.raises(NetchuError, match="holds no ugly, but bad, good"):
        pairs(f"{report}:ugly", report)


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> str:
    content = read_figures(folder)
    edit(content)
    write_figures(content, folder / "metrics.json")
    return str(folder)


def test_a_baseline_is_compared_where_it_is_asked_for(folders):
    def add(content):
        content["baselines"] = {
            "tesseract": content["systems"]["bad"],
            "vietocr": {"why": "no weights"},
        }

    report = change(folders / "report", add)
    ((baseline, good),) = pairs(f"{report}:tesseract", f"{report}:good")
    assert {r.verdict for r in compare(baseline, good) if r.rate == "cer"} == {"better"}
    assert len(pairs(report, report)) == 2
    with pytest.raises(NetchuError, match="vietocr has no rates: no weights"):
        pairs(f"{report}:vietocr", f"{report}:good")


def test_a_rebuilt_report_must_lack_nothing(folders):
    rebuilt = folders / "rebuilt"
    rebuilt.mkdir()
    report = read_figures(folders / "report")
    write_figures(report, rebuilt / "metrics.json")
    change(rebuilt, lambda c: c["systems"]["good"]["datasets"].update(drawn={}))
    with pytest.raises(NetchuError, match="good has not read drawn/line"):
        pairs(f"{folders}/report", str(rebuilt))
    change(rebuilt, lambda c: c["systems"].update(other=c["systems"].pop("good")))
    with pytest.raises(NetchuError, match="lacks good"):
        pairs(f"{folders}/report", str(rebuilt))


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda c: c["overall"].pop("sums"), "no sums by writer"),
        (lambda c: c["overall"]["sums"].pop("edits"), "no sums by writer"),
        (lambda c: c.pop("overall"), "no sums by writer"),
        (lambda c: c["overall"].pop("lines_hash"), "no sums by writer"),
        (lambda c: c.pop("system"), "no evaluated system"),
        (lambda c: c["overall"]["sums"]["edits"].pop(), "do not fit together"),
        (lambda c: [c["overall"]["sums"].update({n: []}) for n in c["overall"]["sums"]],
         "do not fit together"),
        (lambda c: c["overall"]["sums"]["edits"].__setitem__(0, -1), "not a number"),
        (lambda c: c["overall"]["sums"]["edits"].__setitem__(0, None), "not a number"),
        (lambda c: c["overall"]["sums"]["lines"].__setitem__(0, 0), "a writer without lines"),
    ],
)  # fmt: skip
def test_broken_figures_are_named_and_never_averaged_over(folders, edit, told):
    folder = change(folders / "good", edit)
    with pytest.raises(NetchuError, match=f"{re.escape(folder)}.*{told}"):
        systems(folder)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(NetchuError, match=r"nowhere/m\.json is not here"):
        systems(f"{tmp_path}/nowhere/m.json")
    with pytest.raises(NetchuError, match=r"metrics\.json is not here"):
        systems(str(tmp_path))
