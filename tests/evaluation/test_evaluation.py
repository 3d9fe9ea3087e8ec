import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from bitsandbytes.nn import Linear4bit

import small_project
from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.data.line_table import write_table
from netchu.decoding.readings import Reading
from netchu.evaluation import evaluate
from netchu.evaluation.comparison import compare, pairs
from netchu.evaluation.eval_subset import COLUMNS, chosen_lines
from netchu.models.base import LineBatch
from netchu.models.netchu_small import NetchuSmall


@pytest.fixture
def project(tmp_path, monkeypatch) -> Params:
    monkeypatch.chdir(tmp_path)
    project = small_project.params()
    small_project.write_lines(project)
    small_project.write_model(project)
    return project


def test_evaluation_reads_every_test_line_and_repeats_to_the_byte(project):
    metrics = evaluate.evaluate(project, "netchu_small", Path("first"))
    evaluate.evaluate(project, "netchu_small", Path("second"))
    for name in ("metrics.json", "predictions.parquet"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    assert metrics == json.loads(Path("first/metrics.json").read_text(encoding="utf-8"))
    predictions = pd.read_parquet("first/predictions.parquet")
    assert list(predictions.columns) == COLUMNS
    assert sorted(predictions["id"]) == [f"test-{i:02d}" for i in range(12)]
    assert metrics["overall"]["lines"] == 11
    assert metrics["datasets"]["drawn"]["word"]["lines"] == 1
    assert metrics["overall"]["cer_low"] <= metrics["overall"]["cer"]


def test_another_seed_gives_other_intervals(project, monkeypatch):
    # The control of the test above: equal bytes mean something only where others differ.
    readings = {"hoà bình": "hoà bình", "Tổ 3": "Tổ 3"}

    def read(self: NetchuSmall, batch: LineBatch) -> list[Reading]:
        return [Reading(readings.get(t, "x"), 0.5, ()) for t in batch.texts]

    monkeypatch.setattr(NetchuSmall, "transcribe", read)
    other = small_project.params(seed=8)
    first = evaluate.evaluate(project, "netchu_small", Path("first"))
    assert first != evaluate.evaluate(other, "netchu_small", Path("second"))
    assert 0 < first["overall"]["cer"] < 1


def test_size_and_parameters_are_those_of_the_files(project):
    metrics = evaluate.evaluate(project, "netchu_small", Path("out"))
    folder = project.model_folder("netchu_small", "finetune")
    size = (folder / "model.safetensors").stat().st_size
    assert metrics["size_mb"] == round(size / 1e6, 3)
    network = evaluate.load_for_reading(project, "netchu_small")
    weights = sum(p.numel() for p in network.parameters())
    assert metrics["parameters"] == weights
    buffers = sum(b.numel() * b.element_size() for b in network.buffers())
    assert metrics["memory_mb"] == round((4 * weights + buffers) / 1e6, 3)


def test_a_4_bit_weight_counts_as_the_weights_it_packs():
    layer = Linear4bit(64, 32, bias=False, quant_type="nf4").to("cpu")
    assert layer.weight.numel() < 64 * 32
    assert evaluate.count_parameters(layer) == 64 * 32


def test_readings_stay_with_their_lines(project, monkeypatch):
    # Batches are sorted by width, so a slip in the order would swap readings.
    def echo(self: NetchuSmall, batch: LineBatch) -> list[Reading]:
        return [Reading(t, 0.5, ()) for t in batch.texts]

    monkeypatch.setattr(NetchuSmall, "transcribe", echo)
    assert evaluate.evaluate(project, "netchu_small", Path("out"))["overall"]["cer"] == 0


def test_variants_are_summarised_and_the_guarded_one_leads(project, monkeypatch):
    def variants(self: NetchuSmall):
        return {
            "zero_shot": lambda batch: [Reading("ha " * 12, 0.1, ()) for _ in batch.texts],
            "guarded": lambda batch: [Reading(t, 0.9, ()) for t in batch.texts],
        }

    monkeypatch.setattr(NetchuSmall, "variants", variants, raising=False)
    metrics = evaluate.evaluate(project, "netchu_small", Path("out"))
    assert metrics["main"] == "guarded"
    assert metrics["overall"]["cer"] == 0
    assert list(metrics["variants"]) == ["zero_shot"]
    assert metrics["variants"]["zero_shot"]["overall"]["loop_rate"] == 1
    assert "sums" in metrics["overall"]
    assert "sums" not in metrics["variants"]["zero_shot"]["overall"]
    assert "tables" not in metrics["variants"]["zero_shot"]
    assert len(pd.read_parquet("out/predictions.parquet")) == 24


def test_two_evaluations_can_be_compared(project, monkeypatch):
    evaluate.evaluate(project, "netchu_small", Path("untrained"))
    monkeypatch.setattr(
        NetchuSmall, "transcribe", lambda self, batch: [Reading(t, 0.5, ()) for t in batch.texts]
    )
    evaluate.evaluate(project, "netchu_small", Path("perfect"))
    ((before, after),) = pairs("untrained", "perfect")
    rows = {(r.place, r.rate): r for r in compare(before, after)}
    assert rows["overall", "cer"].after == 0
    assert rows["overall", "cer"].verdict == "better"
    assert ("drawn/word", "ser") in rows


def test_a_system_that_loses_a_line_is_refused(project, monkeypatch):
    monkeypatch.setattr(NetchuSmall, "transcribe", lambda self, batch: [])
    with pytest.raises(ValueError, match="shorter"):
        evaluate.evaluate(project, "netchu_small", Path("out"))
    assert not Path("out").exists()


def test_the_limit_is_per_level_and_one_line_more_moves_no_other(project):
    limited = small_project.params(evaluate={"datasets": ["drawn"], "limit": 5})
    chosen = chosen_lines(limited)
    assert (chosen["level"] == "line").sum() == 5
    assert (chosen["level"] == "word").sum() == 1
    write_table(small_project.drawn_lines("test", 13), project.lines / "drawn")
    again = chosen_lines(limited)
    assert len(set(chosen["id"]) & set(again["id"])) >= 5


def test_a_dataset_without_test_lines_is_named(project):
    write_table(small_project.drawn_lines("train", 2), project.lines / "drawn")
    with pytest.raises(NetchuError, match="dataset drawn has no test line"):
        chosen_lines(project)


def test_what_is_still_to_be_chosen_is_read_on_validation_lines(project):
    write_table(
        small_project.drawn_lines("test", 3) + small_project.drawn_lines("val", 4),
        project.lines / "drawn",
    )
    wanted = small_project.params(evaluate={"datasets": ["drawn"], "split": "val"})
    assert set(chosen_lines(wanted)["split"]) == {"val"}
    assert len(chosen_lines(wanted)) == 4


def test_speed_is_measured_on_one_thread_and_threads_are_given_back(project):
    before = torch.get_num_threads()
    speed = evaluate.measure(project, "netchu_small", Path("speed.json"))
    assert torch.get_num_threads() == before
    assert speed == json.loads(Path("speed.json").read_text(encoding="utf-8"))
    assert 0 < speed["latency_p50_ms"] <= speed["latency_p95_ms"]
    assert (speed["timed_lines"], speed["threads"]) == (2, 1)
