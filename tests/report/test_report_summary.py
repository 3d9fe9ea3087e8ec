"""The few values of a system that DVC shows."""

import json
from types import SimpleNamespace

from netchu.report.summary import summarise, write_summaries


def result(datasets, speed, seconds):
    metrics = {"datasets": datasets, "size_mb": 1.23456}
    return SimpleNamespace(metrics=metrics, speed=speed, seconds=seconds)


def test_a_summary_has_a_cer_for_each_dataset_and_level():
    datasets = {
        "kalapa": {"line": {"cer": 0.0123456}},
        "vnondb": {"word": {"cer": 0.5}, "line": {"cer": 1.25}},
    }
    speed = {"latency_p50_ms": 3.14159, "latency_p95_ms": 9.0}
    assert summarise(result(datasets, speed, {"pretrain": 60.4, "finetune": 30.3})) == {
        "cer": {"kalapa": 1.23, "vnondb_word": 50.0, "vnondb_line": 125.0},
        "mb": 1.23, "p50_ms": 3.1, "train_s": 91,
    }  # fmt: skip


def test_each_system_has_a_file_and_no_other_is_left(tmp_path):
    (tmp_path / "summary").mkdir()
    (tmp_path / "summary" / "gone.json").touch()
    results = [result({"kalapa": {"line": {"cer": cer}}}, {}, {}) for cer in (0.1, 0.2)]
    for name, found in zip("ab", results, strict=True):
        found.system = name
    write_summaries(SimpleNamespace(results=results), tmp_path / "summary")
    written = {path.name: json.loads(path.read_text()) for path in (tmp_path / "summary").iterdir()}
    assert written == {
        "a.json": {"cer": {"kalapa": 10.0}, "mb": 1.23},
        "b.json": {"cer": {"kalapa": 20.0}, "mb": 1.23},
    }


def test_what_was_not_measured_is_left_out():
    assert summarise(result({"kalapa": {"line": {"cer": 0.1}}}, {}, {})) == {
        "cer": {"kalapa": 10.0}, "mb": 1.23
    }  # fmt: skip
