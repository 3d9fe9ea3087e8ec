"""Every heading of the report stands over the value that it names.

The only system has a different value for each metric, interval end, size and time, so a table that
shows one of them under the heading of another fails here. The expected cells are literals.
"""

import json
from pathlib import Path

import pandas as pd
import pytest

import small_project
import small_report
from netchu.evaluation.metrics_io import read_metrics, write_metrics
from netchu.report import leaderboard, sections
from netchu.report.build import build_report
from netchu.report.gather import gather_findings
from netchu.report.reproducible import reproducible_metrics
from netchu.report.tradeoffs import median_latency, weights_size

SYSTEM = "netchu_small"
OVERALL = {
    "lines": 1203, "characters": 45_006, "words": 9008, "groups": 34,
    "cer": 0.0512, "cer_low": 0.0437, "cer_high": 0.0621,
    "wer": 0.1634, "wer_low": 0.1501, "wer_high": 0.1799,
    "ser": 0.2745, "ser_low": 0.2602, "ser_high": 0.2901,
    "cer_folded": 0.0398, "cer_folded_low": 0.0311, "cer_folded_high": 0.0452,
    "wer_folded": 0.1401, "ser_folded": 0.2502, "kalapa_score": 0.7893, "loop_rate": 0.0123,
    "base_errors": 0.0181, "mark_errors": 0.0092, "tone_errors": 0.0073, "case_errors": 0.0064,
    "digit_errors": 0.0045, "space_errors": 0.0036, "punctuation_errors": 0.0021,
    "missing": 0.0134, "extra": 0.0088, "ece": 0.0347, "lines_hash": "ab",
}  # fmt: skip
LINE = OVERALL | {"cer": 0.081, "cer_low": 0.071, "cer_high": 0.092, "wer": 0.18, "lines": 1203}
WORD = OVERALL | {"cer": 0.211, "cer_low": 0.196, "cer_high": 0.235, "wer": 0.38, "lines": 77}
FREE = OVERALL | {"cer": 0.311, "wer": 0.422, "loop_rate": 0.033}
SPEED = {
    "latency_p50_ms": 5.31, "latency_p95_ms": 7.92, "throughput_lines_per_s": 310.5,
    "machine": "a small machine", "threads": 1,
    "by_width": [
        {"height": 64, "width": 400, "latency_p50_ms": 3.1, "latency_p95_ms": 3.7,
         "multiply_adds": 410_000_000},
        {"height": 64, "width": 800, "latency_p50_ms": 6.4, "latency_p95_ms": 6.9,
         "multiply_adds": 830_000_000},
    ],
}  # fmt: skip
REJECT = {100: 0.0512, 95: 0.0405, 90: 0.0303, 80: 0.0201, 70: 0.0102, 50: 0.0053}
PHASES = [
    small_report.PHASE | {"optimizer": "adamw", "learning_rate": 0.003, "schedule": "onecycle"},
    small_report.PHASE | {"optimizer": "sgd", "learning_rate": 0.02, "schedule": "cosine",
                          "datasets": ["drawn", "more"], "augmentation_strength": [0.5, 0.5],
                          "freeze": "body", "folds": 4, "height": 48, "ema_decay": 0.99,
                          "patience": 6},
]  # fmt: skip
TRAINING = [
    {"stage": "pretrain", "phase": PHASES[0], "lines": 2100, "images_seen_at_most": 64_000,
     "epochs": 3, "val_cer": 0.456},
    {"stage": "finetune", "phase": PHASES[1], "lines": 870, "images_seen_at_most": 9300,
     "epochs": 5, "val_cer": 0.123},
]  # fmt: skip


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("values"))
        project = small_report.params()
        small_project.write_lines(project)
        read = small_report.predictions(0.3)
        found = small_report.metrics(project, SYSTEM, read)
        tables = found["tables"] | {
            "reject_curve": [{"kept": kept, "cer": cer} for kept, cer in REJECT.items()],
            "reliability": [{"confidence": 0.42, "right": 0.31, "lines": 6}],
            "by_length": [{"from": 1, "to": 10, "lines": 4, "characters": 30} | _ends(LINE)],
        }
        small_report.write_system(
            project, SYSTEM, read, overall=OVERALL | {"sums": found["overall"]["sums"]},
            datasets={"drawn": {"line": LINE, "word": WORD}}, tables=tables, training=TRAINING,
            variants={"zero_shot": {"overall": FREE, "datasets": {"drawn": {"line": FREE}}}},
            size_mb=1.25, memory_mb=3.75, parameters=2_034_567,
        )  # fmt: skip
        folder = small_report.MODELS / SYSTEM
        write_metrics(SPEED, folder / "speed.json")
        write_metrics({"seconds": 61.0}, folder / "pretrain.cost.json")
        write_metrics({"seconds": 139.0}, folder / "finetune.cost.json")
        history = {"train_loss": [3.5, 2.5], "val_cer": [0.9, 0.8], "val_loss": [7.0, 6.0]}
        pd.DataFrame(history).to_csv(folder / "finetune" / "history.csv", index=False)
        yield gather_findings(project, small_report.MODELS)


def _ends(rates):
    return {key: rates[key] for key in ("cer", "cer_low", "cer_high")}


def cells(table, row=0):
    """Text and sort key of a row's cells by heading."""
    return {
        heading: (cell.text, cell.sort_key)
        for heading, cell in zip(table.head, table.body[row], strict=True)
    }


def test_the_leaderboard(findings):
    row = leaderboard.rows(findings)[0]
    found = {
        heading: (cell.text, cell.sort_key)
        for heading, cell in zip(leaderboard.headings(), row.cells, strict=True)
    }
    assert found == {
        "system": (SYSTEM, SYSTEM),
        "CER": ("5.1 %", 0.0512),
        "95 % interval": ("4.4–6.2", 0.0437),
        "WER": ("16.3 %", 0.1634),
        "SER": ("27.5 %", 0.2745),
        "CER, tones folded": ("4.0 %", 0.0398),
        "Kalapa score": ("0.789", 0.7893),
        "MB": ("1.25", 1.25),
        "parameters": ("2.03 M", 2_034_567),
        "ms/line p50": ("5.3", 5.31),
        "trained in": ("3 min 20 s", 200),
        "published CER": ("–", None),
    }


def test_the_leaderboard_as_markdown_has_the_same_columns(findings):
    _, heading, _, row, *_ = [
        line for line in leaderboard.markdown(findings).splitlines() if line.startswith(("#", "|"))
    ]
    found = dict(zip(heading.split(" | "), row.split(" | "), strict=True))
    assert found["WER"] == "16.3 %" and found["SER"] == "27.5 %"
    assert found["MB"] == "1.25" and found["ms/line p50"] == "5.3"
    assert "Tested on 1203 test lines, 45006 characters: drawn (line 1203, word 77)." in (
        leaderboard.markdown(findings)
    )


def test_the_leaderboard_as_json(findings):
    (row,) = leaderboard.as_json(findings)["systems"]
    assert row == {
        "system": SYSTEM, "cer": 0.0512, "cer_low": 0.0437, "cer_high": 0.0621, "wer": 0.1634,
        "ser": 0.2745, "cer_folded": 0.0398, "kalapa_score": 0.7893, "size_mb": 1.25,
        "memory_mb": 3.75, "parameters": 2_034_567, "latency_p50_ms": 5.31,
        "latency_p95_ms": 7.92, "training_seconds": 200.0, "note": "", "published": None,
    }  # fmt: skip


def test_cer_by_level(findings):
    assert cells(sections.levels(findings)) == {
        "system": (SYSTEM, SYSTEM),
        "drawn, word": ("21.1 % (19.6–23.5)", 0.211),
        "drawn, line": ("8.1 % (7.1–9.2)", 0.081),
    }


def test_size_and_speed(findings):
    assert cells(sections.costs(findings)) == {
        "system": (SYSTEM, SYSTEM),
        "MB in memory": ("3.75", 3.75),
        "lines/s, all cores": ("310", 310.5),
        "ms/line p95": ("7.9", 7.92),
        "ms at 64×400": ("3.1", 3.1),
        "ms at 64×800": ("6.4", 6.4),
        "multiply-adds at 64×800": ("830.00 M", 830_000_000),
    }


def test_confidence(findings):
    assert cells(sections.confidence(findings)) == {
        "system": (SYSTEM, SYSTEM),
        "calibration error": ("0.035", 0.0347),
        "CER, surest 100 %": ("5.1 %", 0.0512),
        "CER, surest 90 %": ("3.0 %", 0.0303),
        "CER, surest 70 %": ("1.0 %", 0.0102),
        "CER, surest 50 %": ("0.5 %", 0.0053),
    }


def test_ways_of_reading(findings):
    table = sections.variants(findings)
    names = ("system", "way", "data set", "level")
    found = {tuple(row[name][0] for name in names): row for row in map(
        lambda n: cells(table, n), range(len(table.body))
    )}  # fmt: skip
    rates = {
        (way, level): tuple(found[SYSTEM, way, "drawn", level][name][0] for name in table.head[4:])
        for way, level in (("main", "line"), ("main", "word"), ("zero-shot", "line"))
    }
    assert table.head[4:] == ("CER", "WER", "loops")
    assert len(found) == 3
    assert rates == {
        ("main", "line"): ("8.1 %", "18.0 %", "1.2 %"),
        ("main", "word"): ("21.1 %", "38.0 %", "1.2 %"),
        ("zero-shot", "line"): ("31.1 %", "42.2 %", "3.3 %"),
    }


def test_training(findings):
    table = sections.training(findings)
    assert [list(map(lambda cell: cell.text, row)) for row in table.body] == [
        [SYSTEM, "pretrain", "1 min 1 s", "drawn", "2 100", "64 000", "adamw 0.003, onecycle",
         "augmentation 0.2 → 0.6", "45.6 %"],
        [SYSTEM, "finetune", "2 min 19 s", "drawn, more", "870", "9 300", "sgd 0.02, cosine",
         "augmentation 0.5; frozen: body; 4 folds; lines of 48 px; running mean of the weights; "
         "stops after 6 epochs without gain", "12.3 %"],
    ]  # fmt: skip
    assert table.head == (
        "system", "stage", "took", "data", "lines", "images seen, at most", "optimiser", "besides",
        "validation CER",
    )  # fmt: skip


def test_published_figures_stand_beside_the_cer_measured_here(findings):
    table = sections.published(findings)
    rows = {row[0].text: [cell.text for cell in row] for row in table.body}
    assert table.head == ("network", "CER here", "published", "on", "why not comparable")
    assert rows["crnn_residual"][:4] == [
        "crnn_residual", "–", "5.31 % CER, 16.5 % WER, 65.6 % SER; 49.47 MB, 10.7 s", "Kalapa 2023"
    ]  # fmt: skip
    named = findings.params.network
    assert named(SYSTEM) == SYSTEM and SYSTEM not in rows
    as_trocr = lambda system: "trocr" if system == SYSTEM else named(system)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(findings.params), "network", lambda self, system: as_trocr(system))
        rows = {row[0].text: row[1].text for row in sections.published(findings).body}
        assert rows["trocr"] == "5.1 % (4.4–6.2)"
        assert leaderboard.rows(findings)[0].cells[-1].text == "6.3 % IAM"


def test_axes_of_the_tradeoffs_are_size_of_the_weights_and_median_latency(findings):
    (result,) = findings.results
    assert (weights_size(result), median_latency(result)) == (1.25, 5.31)


def test_plots_and_json_files(findings, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netchu.report.build.charts", lambda _: dict.fromkeys(
            ("tradeoffs", "learning", "errors", "spread", "confidence"), ()))  # fmt: skip
        patch.setattr("netchu.report.build.write_overview", lambda *_: None)
        build_report(findings.params, small_report.MODELS, tmp_path)
    rows = {
        path.stem: pd.read_csv(path).iloc[0].to_dict() for path in (tmp_path / "plots").iterdir()
    }
    assert rows["costs"] == {
        "system": SYSTEM, "cer": 5.12, "size_mb": 1.25, "latency_p50_ms": 5.31}  # fmt: skip
    assert rows["lengths"] == {"system": SYSTEM, "characters": "1–10", "cer": 8.1}
    assert rows["reject"] == {"system": SYSTEM, "kept": 100, "cer": 5.12}
    assert rows["reliability"] == {"system": SYSTEM, "confidence": 42.0, "right": 31.0}
    errors = pd.read_csv(tmp_path / "plots" / "errors.csv")
    assert dict(zip(errors["kind"], errors["per_100_characters"], strict=True)) == {
        "letter": 1.81, "vowel mark, đ": 0.92, "tone": 0.73, "case": 0.64, "digit": 0.45,
        "space": 0.36, "punctuation": 0.21,
    }  # fmt: skip
    learning = pd.read_csv(tmp_path / "plots" / "learning.csv")
    assert learning["cer"].dropna().tolist()[-2:] == [90.0, 80.0]
    speed = json.loads((tmp_path / "speed.json").read_text())[SYSTEM]
    assert speed["training_seconds"] == {"pretrain": 61.0, "finetune": 139.0}
    assert speed["speed"]["latency_p95_ms"] == 7.92
    system = read_metrics(tmp_path)["systems"][SYSTEM]
    assert (system["size_mb"], system["memory_mb"]) == (1.25, 3.75)
    assert system["overall"] == read_metrics(Path(small_report.MODELS, SYSTEM, "evaluation"))[
        "overall"]  # fmt: skip
    assert system == reproducible_metrics(findings)["systems"][SYSTEM]
    assert ">16.3 %<" in (tmp_path / "report.html").read_text(encoding="utf-8")
