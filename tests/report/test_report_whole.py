import json
import re
from pathlib import Path

import cv2
import pytest

import small_project
import small_report
from netchu.core.errors import NetchuError
from netchu.report.build import build_report

NAMES = ["leaderboard.json", "leaderboard.md", "local.html", "metrics.json", "overview.png",
         "report.html", "speed.json"]  # fmt: skip
PLOTS = ["costs", "errors", "learning", "lengths", "reject", "reliability", "tones"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two evaluated systems, one that is not, two baselines; the report is in first/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("reported"))
        project = small_report.params()
        small_report.write_profile(project, netchu_small=0.1, crnn_vgg=0.5)
        small_report.write_baseline(project, "tesseract", small_report.predictions(0.7))
        small_report.write_baseline(project, "vietocr_seq2seq", None)
        build_report(project, small_report.MODELS, Path("first"))
        yield project


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes()
            for p in sorted(Path(folder).rglob("*")) if p.is_file()}  # fmt: skip


def test_the_report_is_complete_and_reproducible(project):
    build_report(project, small_report.MODELS, Path("second"))
    first = files("first")
    summaries = [f"summary/{system}.json" for system in ("netchu_small", "crnn_vgg")]
    assert sorted(first) == sorted(NAMES + summaries + [f"plots/{name}.csv" for name in PLOTS])
    assert first == files("second")
    assert cv2.imread("first/overview.png").shape[1] > 1000
    assert len(first["report.html"]) < 300_000


def test_metrics_hold_no_times_and_the_sums_of_the_paired_test(project):
    text = Path("first/metrics.json").read_text(encoding="utf-8")
    found = json.loads(text)
    stored = json.loads(
        (small_report.MODELS / "crnn_vgg/evaluation/metrics.json").read_text(encoding="utf-8")
    )
    assert found["systems"]["crnn_vgg"]["overall"] == stored["overall"]
    assert found["systems"]["crnn_vgg"]["overall"]["sums"]["edits"]
    assert found["seed"] == 7 and found["not_run"] == ["trocr"]
    assert "latency" not in text and "seconds" not in text
    assert (
        "overall" in found["baselines"]["tesseract"]
        and "overall" not in found["baselines"]["vietocr_seq2seq"]
    )
    assert found["skipped"]["datasets"] == {"drawn": {"empty label": 1}}


def test_speed_holds_the_times(project):
    speed = json.loads(Path("first/speed.json").read_text())
    assert speed["crnn_vgg"]["speed"]["latency_p50_ms"] == 5.3
    assert speed["crnn_vgg"]["training_seconds"] == {"pretrain": 61.5, "finetune": 61.5}


def test_a_summary_holds_a_few_values_of_each_system(project):
    metrics = json.loads(Path("first/metrics.json").read_text())["systems"]["crnn_vgg"]
    levels = metrics["datasets"]["drawn"]
    assert json.loads(Path("first/summary/crnn_vgg.json").read_text()) == {
        "cer": {f"drawn_{level}": round(100 * levels[level]["cer"], 2) for level in levels},
        "mb": 1.5, "p50_ms": 5.3, "train_s": 123,
    }  # fmt: skip
    assert set(levels) == {"line", "word"}


def test_a_system_that_is_gone_has_no_summary(project, tmp_path):
    (tmp_path / "summary").mkdir()
    (tmp_path / "summary" / "old.json").write_text("{}")
    build_report(project, small_report.MODELS, tmp_path)
    found = {path.stem for path in (tmp_path / "summary").iterdir()}
    assert found == {"netchu_small", "crnn_vgg"}


def test_the_page_loads_nothing_from_other_places(project):
    html = Path("first/local.html").read_text(encoding="utf-8")
    attribute = r"""\b(?:src|href|action|poster|data|srcset)\s*=\s*["']?([^"'\s>]{0,5})"""
    loaded = set(re.findall(attribute, html)) | set(re.findall(r"url\(\s*([^)]{0,5})", html))
    assert "data:" in loaded
    assert all(start.startswith("#") or start == "data:" for start in loaded)
    assert "@import" not in html and "fetch(" not in html
    assert "default-src 'none'" in html


def test_only_the_local_page_shows_research_data(project, tmp_path):
    # The control is the local page of the same report, which shows all lines.
    closed = small_report.params(
        datasets={"drawn": {"source": "kalapa", "input": "nowhere"}}, report={"gallery": []}
    )
    build_report(closed, small_report.MODELS, tmp_path)
    found = {name: data.decode("utf-8") for name, data in files(tmp_path).items()
             if not name.endswith(".png")}  # fmt: skip
    local = found.pop("local.html")
    assert "data:image/webp" in local and "blank-1" in local and "For this machine alone" in local
    texts = {line.text for line in small_project.drawn_lines() if " " in line.text}
    assert all(text in local for text in texts)
    for name, content in found.items():
        assert not [text for text in texts if text in content], name
        assert "data:image" not in content and "blank-1" not in content, name
        assert "For this machine" not in content


def test_a_report_without_evaluations_lists_the_systems_as_not_run(project, tmp_path):
    build_report(project, tmp_path / "nothing", tmp_path / "out")
    assert "not run" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_damaged_file_is_named_and_nothing_is_written(project, tmp_path):
    broken = tmp_path / "models" / "netchu_small" / "evaluation" / "metrics.json"
    broken.parent.mkdir(parents=True)
    broken.write_text('{"overall": NaN}')
    with pytest.raises(NetchuError, match=r"netchu_small.*metrics\.json"):
        build_report(project, tmp_path / "models", tmp_path / "out")
    assert not (tmp_path / "out").exists()
