import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml

import small_report
from compositions import ROOT
from netchu.core.formatting import (
    UNKNOWN,
    confidence_interval,
    duration,
    magnitude,
    milliseconds,
    percent,
    percentage_points,
)
from netchu.data.line_table import Skipped
from netchu.report import leaderboard, sections
from netchu.report.bars import error_parts, error_shares
from netchu.report.confusions import confusions
from netchu.report.gather import Findings, SystemResult, count_reasons, gather_findings
from netchu.report.page_tables import Cell
from netchu.report.plots import write_plots


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """Two systems and two baselines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tables"))
        project = small_report.params()
        small_report.write_profile(project, netchu_small=0.1, crnn_vgg=0.6)
        small_report.write_baseline(project, "tesseract", small_report.predictions(0.3, 5))
        small_report.write_baseline(project, "vietocr_seq2seq", None)
        yield gather_findings(project, small_report.MODELS)


def test_the_leaderboard_is_sorted_by_cer_and_ends_with_unmeasured_systems(findings):
    table = leaderboard.rows(findings)
    assert [row.system for row in table] == [
        "netchu_small", "tesseract", "crnn_vgg", "vietocr_seq2seq", "trocr"]  # fmt: skip
    assert [row.texts[0] for row in table][1] == "tesseract, baseline *"
    assert all(len(row.cells) == len(leaderboard.headings()) for row in table)
    assert table[3].texts[1] == "not measured"
    assert "vietocr_seq2seq is not installed" in table[3].note
    assert table[4].texts[1] == "not run"


def test_the_leaderboard_as_markdown_and_json(findings):
    text = leaderboard.markdown(findings)
    found = json.loads(json.dumps(leaderboard.as_json(findings), allow_nan=False))
    assert re.search(r"^\| netchu_small \| \d+\.\d % \|", text, re.MULTILINE)
    assert re.search(r"^\| trocr \| not run \|", text, re.MULTILINE)
    assert "2 min 3 s" in text and "none" in text
    assert [row["system"] for row in found["systems"]] == ["netchu_small", "crnn_vgg"]
    assert found["systems"][0]["cer"] == findings.results[0].cer
    assert found["systems"][1]["published"]["on"] == "Cinnamon address lines"
    baselines = {row["system"]: row["cer"] for row in found["baselines"]}
    assert baselines["vietocr_seq2seq"] is None and baselines["tesseract"] > 0
    assert set(found["systems"][1]["published"]) == {"figure", "on", "not_comparable"}
    heading, below, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in (heading, below, *rows)}) == 1
    assert re.fullmatch(r"\|---\|(---:\|)+", below)
    assert all(line.startswith("| ") and line.endswith(" |") for line in (heading, *rows))


def test_a_system_that_read_different_lines_is_marked(findings):
    other = findings.results[1]
    metrics = other.metrics | {"overall": other.metrics["overall"] | {"lines_hash": "0"}}
    results = [findings.results[0], replace(other, metrics=metrics)]
    changed = replace(findings, results=results)
    notes = {row.system: row.note for row in leaderboard.rows(changed)}
    assert notes["crnn_vgg"] == leaderboard.DIFFERENT_LINES and notes["netchu_small"] == ""
    differences = {row[1].text: row[2] for row in sections.differences(changed).body}
    assert differences["crnn_vgg"] == Cell("other lines", None)


def test_baselines_are_among_the_systems_in_tables_of_metrics(findings):
    order = [result.system for result in findings.measured]
    assert set(order) == {"netchu_small", "crnn_vgg", "tesseract"}
    assert [row[0].text for row in sections.levels(findings).body] == order
    names = [(row[0].text, row[1].text) for row in sections.differences(findings).body]
    assert names == list(pairwise(order))


def test_large_numbers_are_abbreviated():
    assert [magnitude(n) for n in (None, 2_034_567, 2_408_140_000)] == ["–", "2.03 M", "2.41 G"]


def test_the_difference_of_neighbours_is_that_of_their_cer(findings):
    (row,) = sections.differences(replace(findings, baselines=[])).body
    better, worse = findings.results
    assert [cell.text for cell in row[:2]] == [better.system, worse.system]
    assert row[2].sort_key == pytest.approx(better.cer - worse.cer, abs=1e-6)
    assert row[3].sort_key <= row[2].sort_key < 0 and 0.9 < row[4].sort_key <= 1


def test_a_level_that_was_not_read_is_unknown_and_not_zero(findings):
    second = findings.results[1]
    datasets = {"drawn": {"line": second.metrics["datasets"]["drawn"]["line"]}}
    changed = replace(second, metrics=second.metrics | {"datasets": datasets})
    table = sections.levels(replace(findings, results=[findings.results[0], changed], baselines=[]))
    assert table.head == ("system", "drawn, word", "drawn, line")
    assert table.body[1][1] == Cell(UNKNOWN, None) and table.body[1][2].sort_key > 0


def test_the_duration_of_a_stage_stands_in_its_first_phase(findings):
    table = sections.training(findings)
    assert [row[2].text for row in table.body[:2]] == ["1 min 2 s", "1 min 2 s"]
    entries = findings.results[0].metrics["training"]
    twice = findings.results[0].metrics | {"training": [entries[1], entries[1]]}
    again = replace(findings, results=[replace(findings.results[0], metrics=twice)])
    assert [row[2].text for row in sections.training(again).body] == ["1 min 2 s", UNKNOWN]


def test_the_card_of_an_old_model_may_lack_parameters_of_a_phase(findings):
    entry = findings.results[0].metrics["training"][0]
    kept = ("datasets", "optimizer", "learning_rate", "schedule")
    phase = {key: entry["phase"][key] for key in kept}
    old = findings.results[0].metrics | {"training": [entry | {"phase": phase}]}
    table = sections.training(
        replace(findings, results=[replace(findings.results[0], metrics=old)])
    )
    assert table.body[0][7].text == ""


def test_costs_have_every_width_and_unknown_times(findings):
    untimed = replace(findings.results[0], speed={})
    table = sections.costs(replace(findings, results=[untimed, findings.results[1]]))
    assert "ms at 64×400" in table.head and "multiply-adds at 64×800" in table.head
    assert table.body[0][2:] == [Cell(UNKNOWN, None)] * (len(table.head) - 2)
    assert table.body[1][table.head.index("ms at 64×800")].sort_key == 10


def test_shares_of_the_errors_add_up_to_one_or_are_zero(findings):
    rates = findings.results[1].metrics["overall"]
    for parts in (error_parts("class"), error_parts("operation")):
        assert sum(error_shares(rates, parts)) == pytest.approx(1, abs=1e-3)
        assert sum(error_shares(dict.fromkeys(rates, 0.0), parts)) == 0


def test_rows_of_the_tone_confusion_add_up_to_one(findings):
    found = confusions(findings)[0]
    for row in found.tones:
        assert sum(cell.share for cell in row) == pytest.approx(1) or not any(
            cell.count for cell in row
        )
    assert [[c.right for c in row].index(True) for row in found.tones] == list(range(6))


def test_plots_hold_the_data_of_the_charts(findings, tmp_path):
    write_plots(findings, tmp_path)
    costs = pd.read_csv(tmp_path / "costs.csv")
    assert costs["system"].tolist() == ["netchu_small", "crnn_vgg"]
    assert costs["cer"][0] == pytest.approx(100 * findings.results[0].cer, abs=1e-3)
    errors = pd.read_csv(tmp_path / "errors.csv").groupby("system")["per_100_characters"].sum()
    assert errors["crnn_vgg"] == pytest.approx(100 * findings.results[1].cer, abs=0.01)
    learning = pd.read_csv(tmp_path / "learning.csv")
    assert learning.query("system == 'crnn_vgg'")["share"].tolist() == [50, 100]
    assert len(pd.read_csv(tmp_path / "tones.csv")) == 2 * 36


def test_plots_in_dvc_yaml_use_existing_columns_and_templates(findings, tmp_path):
    write_plots(findings, tmp_path)
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    drawn = set()
    for content in (plot for entry in plots for plot in entry.values()):
        ((path, y),) = content["y"].items()
        columns = pd.read_csv(tmp_path / Path(path).name).columns
        assert {content["x"], y, "system"} <= set(columns)
        template = json.loads((ROOT / ".dvc/plots" / f"{content['template']}.json").read_text())
        fields = set(re.findall(r'"field": "([a-z_]+)"', json.dumps(template)))
        assert fields <= {*columns, "rev"}
        drawn.add(Path(path).name)
    assert drawn == {path.name for path in tmp_path.iterdir()}


def test_plots_without_systems_are_empty_tables(findings, tmp_path):
    write_plots(replace(findings, results=[]), tmp_path)
    assert all(pd.read_csv(path).empty for path in tmp_path.iterdir())


def test_reasons_are_counted_with_labels_and_numbers_masked():
    skipped = [
        Skipped("1", "label 'Tổ 3' is too long: 12 of 10"),
        Skipped("2", "label 'ấp 5' is too long: 99 of 10"),
        Skipped("3", 'label "it\'s" is too long: 1 of 10'),
    ]
    assert count_reasons(skipped) == {"label … is too long: N of N": 3}


def test_formats_of_numbers():
    assert percent(0.0512) == "5.1 %"
    assert (duration(None), duration(45.2), duration(200), duration(7500)) == (
        "–", "45 s", "3 min 20 s", "2 h 5 min")  # fmt: skip
    assert (milliseconds(9.34), milliseconds(1450.0)) == ("9.3", "1 450")
    assert percentage_points(-0.0352) == "−3.5" and confidence_interval({}) == UNKNOWN


def result(system: str, datasets: dict[str, dict[str, int]]) -> SystemResult:
    levels = {
        name: {level: {"lines": count} for level, count in counts.items()}
        for name, counts in datasets.items()
    }
    metrics = {"overall": {"lines": 3, "characters": 20}, "datasets": levels}
    return SystemResult(system, metrics, {}, {}, pd.DataFrame(), pd.DataFrame(), [])


def test_the_test_lines_are_those_of_all_systems(findings):
    results = [
        result("netchu_small", {"a": {"line": 3}, "pages": {}, "empty": {}}),
        result("deepseek_ocr", {"a": {"line": 3, "word": 2}, "pages": {"paragraph": 4}}),
    ]
    found = Findings(findings.params, results, [], [], {}, frozenset())
    assert leaderboard.tested_on(found) == (
        "3 test lines, 20 characters: a (line 3, word 2), pages (paragraph 4)"
    )


def test_the_files_of_the_page_are_in_the_package():
    folder = Path(sections.__file__).parent
    assert {"report.css", "report.js", "report.html.j2"} <= {p.name for p in folder.iterdir()}
