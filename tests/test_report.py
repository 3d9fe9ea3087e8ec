import json
import re
from pathlib import Path

import cv2
import pandas as pd
import pytest

import small_project
from netchu import evaluation
from netchu.lines import Skipped, write_skipped
from netchu.params import Params
from netchu.report import build_report, leaderboard
from netchu.report.format import duration, milliseconds, percent
from netchu.report.gallery import mark_edits
from netchu.report.gather import Findings, SystemResult, count_reasons

MODELS = Path("models/tiny")
PHASES = {"pretrain": [small_project.PHASE], "finetune": [small_project.PHASE]}
SYSTEMS = {
    "netchu_small": {"model": small_project.MODEL, **PHASES},
    "trocr": {"model": {}, **PHASES, "note": "needs more than minutes"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Params:
    """One system evaluated, one not; tests run inside the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("reported"))
        project = small_project.params(systems=SYSTEMS)
        small_project.write_lines(project)
        small_project.write_model(project)
        evaluation.evaluate(project, "netchu_small", MODELS / "netchu_small" / "evaluation")
        evaluation.measure(project, "netchu_small", MODELS / "netchu_small" / "speed.json")
        yield project


def page(project: Params, out: str) -> str:
    build_report(project, MODELS, Path(out))
    return Path(out, "report.html").read_text(encoding="utf-8")


def test_the_report_is_whole_and_repeats_to_the_byte(project):
    page(project, "first")
    page(project, "second")
    names = ["leaderboard.md", "metrics.json", "overview.png", "report.html", "speed.json"]
    assert sorted(p.name for p in Path("first").iterdir()) == names
    for name in names:
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    assert cv2.imread("first/overview.png").shape[1] > 1000


def test_metrics_hold_no_clock_and_speed_does(project):
    page(project, "out")
    text = Path("out/metrics.json").read_text(encoding="utf-8")
    metrics, speed = json.loads(text), json.loads(Path("out/speed.json").read_text())
    stored = json.loads((MODELS / "netchu_small/evaluation/metrics.json").read_text())
    assert metrics["systems"]["netchu_small"]["overall"] == stored["overall"]
    assert metrics["not_run"] == ["trocr"]
    assert "latency" not in text and "seconds" not in text
    assert speed["netchu_small"]["speed"]["latency_p50_ms"] > 0
    assert speed["netchu_small"]["training_seconds"] == {"finetune": 61.5}


def test_the_page_needs_no_network(project):
    html = page(project, "out")
    loaded = re.findall(r"""(?:src|href)=["']([^"'#]{4})""", html) + re.findall(
        r"url\(([^#].{3})", html
    )
    assert set(loaded) <= {"data"}
    assert "<script" not in html and "@import" not in html


def test_the_leaderboard_names_what_was_not_run(project):
    page(project, "out")
    table = Path("out/leaderboard.md").read_text(encoding="utf-8")
    assert re.search(r"^\| netchu_small \| \d+\.\d % \|", table, re.MULTILINE)
    assert re.search(r"^\| trocr \| not run \|", table, re.MULTILINE)
    assert "1 min 2 s" in table


def test_skipped_lines_are_counted_and_listed(project):
    html = page(project, "out")
    assert "data: drawn: 1" in html and "blank-1: empty label" in html
    skipped = json.loads(Path("out/metrics.json").read_text(encoding="utf-8"))["skipped"]
    assert skipped["datasets"] == {"drawn": {"empty label": 1}}
    assert skipped["systems"]["netchu_small"] == {"too short for CTC: N time steps for …": 1}


def test_research_only_lines_leave_no_trace(project, monkeypatch):
    # The control is `page` with the data set in the gallery, which shows them.
    shown = page(project, "open")
    closed = small_project.params(
        systems=SYSTEMS,
        datasets={"drawn": {"source": "kalapa", "input": "nowhere"}},
        report={"gallery": []},
    )
    hidden = page(closed, "closed")
    everything = "".join(
        p.read_text(encoding="utf-8") for p in Path("closed").iterdir() if p.suffix != ".png"
    )
    assert "data:image/webp" in shown and "data:image/webp" not in hidden
    for text in {line.text for line in small_project.drawn_lines()}:
        if " " in text and text != "hoà bình":
            assert text not in everything
    assert "hoà bình" in shown and "hoà bình" not in everything
    assert "blank-1" not in everything


def test_edits_are_marked_and_text_is_escaped():
    marked = mark_edits("a<b cd", "a<x cde")
    assert str(marked) == 'a&lt;<mark title="b">x</mark> cd<ins>e</ins>'
    assert str(mark_edits("ab", "a")) == "a<del>b</del>"
    assert str(mark_edits("ab", "")) == "<del>ab</del>"


def test_reasons_are_counted_without_labels_and_numbers():
    skipped = [
        Skipped("1", "label 'Tổ 3' is too long: 12 of 10"),
        Skipped("2", "label 'ấp 5' is too long: 99 of 10"),
        Skipped("3", 'label "it\'s" is too long: 1 of 10'),
    ]
    assert count_reasons(skipped) == {"label … is too long: N of N": 3}


def test_an_empty_profile_is_a_report_of_systems_not_run(project, tmp_path):
    build_report(project, tmp_path / "nothing", tmp_path / "out")
    assert "not run" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_numbers_as_people_read_them():
    assert percent(0.0512) == "5.1 %"
    assert (duration(None), duration(45.2), duration(200), duration(7500)) == (
        "–", "45 s", "3 min 20 s", "2 h 5 min")  # fmt: skip
    assert (milliseconds(9.34), milliseconds(1450.0)) == ("9.3", "1 450")


def test_many_skipped_lines_are_cut_and_said_so(project, tmp_path, monkeypatch):
    folder = project.lines / "drawn"
    before = (folder / "skipped.csv").read_bytes()
    write_skipped([Skipped(f"id{i}", "empty label") for i in range(60)], folder)
    html = page(project, "out")
    (folder / "skipped.csv").write_bytes(before)
    assert "data: drawn: 60" in html and "… and 10 more" in html


def result(system: str, datasets: dict[str, dict[str, int]]) -> SystemResult:
    levels = {
        name: {level: {"lines": count} for level, count in counts.items()}
        for name, counts in datasets.items()
    }
    metrics = {"overall": {"lines": 3, "characters": 20}, "datasets": levels}
    return SystemResult(system, metrics, {}, {}, pd.DataFrame(), pd.DataFrame(), [])


def test_the_heading_counts_what_any_system_read(project):
    results = [
        result("netchu_small", {"a": {"line": 3}, "pages": {}, "empty": {}}),
        result("deepseek_ocr", {"a": {"line": 3, "word": 2}, "pages": {"paragraph": 4}}),
    ]
    assert leaderboard.tested_on(Findings(project, results, [], {})) == (
        "3 test lines, 20 characters: a (line 3, word 2), pages (paragraph 4)"
    )
