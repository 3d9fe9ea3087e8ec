import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from bitsandbytes.nn import Linear4bit

import small_project
from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.data.batches import LineBatch
from netchu.data.line_table import write_table
from netchu.decoding.readings import Reading
from netchu.evaluation import evaluate
from netchu.evaluation.comparison import compare_systems, pair_systems
from netchu.evaluation.eval_subset import PREDICTION_COLUMNS, load_eval_subset
from netchu.models.networks.netchu_small import NetchuSmall


@pytest.fixture
def project(tmp_path, monkeypatch) -> Params:
    monkeypatch.chdir(tmp_path)
    project = small_project.params()
    small_project.write_lines(project)
    small_project.write_model(project)
    return project


def test_every_test_line_is_read_and_repeated_evaluations_have_equal_bytes(project):
    metrics = evaluate.evaluate_system(project, "netchu_small", Path("first"))
    evaluate.evaluate_system(project, "netchu_small", Path("second"))
    for name in ("metrics.json", "predictions.parquet"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    assert metrics == json.loads(Path("first/metrics.json").read_text(encoding="utf-8"))
    predictions = pd.read_parquet("first/predictions.parquet")
    assert list(predictions.columns) == PREDICTION_COLUMNS
    for _, read in predictions.groupby("variant"):
        assert read["id"].tolist() == [f"test-{i:02d}" for i in range(12)]
    assert list(predictions["variant"].unique()) == ["beam", "greedy"]
    assert metrics["overall"]["lines"] == 11
    assert metrics["datasets"]["drawn"]["word"]["lines"] == 1
    assert metrics["overall"]["cer_low"] <= metrics["overall"]["cer"]
    stored = pq.read_schema("first/predictions.parquet").pandas_metadata
    assert stored["index_columns"] == []  # the order of the rows is that of the ids
    assert set(metrics) == {
        "system", "profile", "seed", "note", "hub_note", "size_mb", "memory_mb", "parameters",
        "training", "main", "overall", "datasets", "tables", "variants",
    }  # fmt: skip
    given = {key: metrics[key] for key in ("system", "profile", "seed", "note", "hub_note")}
    assert given == {"system": "netchu_small", "profile": "tiny", "seed": 7, "note": "",
                     "hub_note": ""}  # fmt: skip


def test_another_seed_gives_different_intervals(project, monkeypatch):
    # The control of the test above: equal bytes prove nothing unless others differ.
    readings = {"hoà bình": "hoà bình", "Tổ 3": "Tổ 3"}

    def read(self: NetchuSmall, batch: LineBatch) -> list[Reading]:
        return [Reading(readings.get(t, "x"), 0.5, ()) for t in batch.texts]

    monkeypatch.setattr(NetchuSmall, "transcribe", read)
    other = small_project.params(seed=8)
    first = evaluate.evaluate_system(project, "netchu_small", Path("first"))
    assert first != evaluate.evaluate_system(other, "netchu_small", Path("second"))
    assert 0 < first["overall"]["cer"] < 1


def test_size_and_parameters_are_those_of_the_weights(project):
    metrics = evaluate.evaluate_system(project, "netchu_small", Path("out"))
    folder = project.model_folder("netchu_small", "finetune")
    size = (folder / "model.safetensors").stat().st_size
    assert metrics["size_mb"] == round(size / 1e6, 3)
    network = evaluate.load_finetuned(project, "netchu_small")
    weights = sum(p.numel() for p in network.parameters())
    assert metrics["parameters"] == weights
    buffers = sum(b.numel() * b.element_size() for b in network.buffers())
    assert metrics["memory_mb"] == round((4 * weights + buffers) / 1e6, 3)


def test_a_4_bit_weight_counts_as_the_weights_it_packs():
    layer = Linear4bit(64, 32, bias=False, quant_type="nf4").to("cpu")
    assert layer.weight.numel() < 64 * 32
    assert evaluate.count_parameters(layer) == 64 * 32


def test_readings_keep_the_order_of_the_lines(project, monkeypatch):
    # Batches are sorted by width, so a wrong order would swap readings.
    def echo(self: NetchuSmall, batch: LineBatch) -> list[Reading]:
        return [Reading(t, 0.5, ()) for t in batch.texts]

    monkeypatch.setattr(NetchuSmall, "transcribe", echo)
    assert evaluate.evaluate_system(project, "netchu_small", Path("out"))["overall"]["cer"] == 0


def test_confidences_keep_six_decimals_and_an_evaluation_replaces_the_one_before(
    project, monkeypatch
):
    def echo(self: NetchuSmall, batch: LineBatch) -> list[Reading]:
        return [Reading(t, 0.123456789, ()) for t in batch.texts]

    monkeypatch.setattr(NetchuSmall, "transcribe", echo)
    Path("out").mkdir()
    evaluate.evaluate_system(project, "netchu_small", Path("out"))
    read = pd.read_parquet("out/predictions.parquet")
    assert set(read[read["variant"] == "greedy"]["confidence"]) == {0.123457}


def test_variants_are_summarised_and_the_first_one_is_main(project, monkeypatch):
    def variants(self: NetchuSmall):
        return {
            "guarded": lambda batch: [Reading(t, 0.9, ()) for t in batch.texts],
            "zero_shot": lambda batch: [Reading("ha " * 12, 0.1, ()) for _ in batch.texts],
        }

    monkeypatch.setattr(NetchuSmall, "variants", variants)
    metrics = evaluate.evaluate_system(project, "netchu_small", Path("out"))
    assert metrics["main"] == "guarded"
    assert metrics["overall"]["cer"] == 0
    assert list(metrics["variants"]) == ["zero_shot"]
    assert metrics["variants"]["zero_shot"]["overall"]["loop_rate"] == 1
    assert "sums" in metrics["overall"]
    assert "sums" not in metrics["variants"]["zero_shot"]["overall"]
    assert "tables" not in metrics["variants"]["zero_shot"]
    assert len(pd.read_parquet("out/predictions.parquet")) == 24


def test_two_evaluations_can_be_compared(project, monkeypatch):
    evaluate.evaluate_system(project, "netchu_small", Path("untrained"))
    monkeypatch.setattr(
        NetchuSmall, "transcribe", lambda self, batch: [Reading(t, 0.5, ()) for t in batch.texts]
    )
    evaluate.evaluate_system(project, "netchu_small", Path("perfect"))
    ((before, after),) = pair_systems("untrained", "perfect")
    rows = {(r.place, r.rate): r for r in compare_systems(before, after)}
    assert rows["overall", "cer"].after == 0
    assert rows["overall", "cer"].verdict == "better"
    assert ("drawn/word", "ser") in rows


def test_a_system_that_drops_a_line_is_an_error(project, monkeypatch):
    monkeypatch.setattr(NetchuSmall, "transcribe", lambda self, batch: [])
    with pytest.raises(ValueError, match="shorter"):
        evaluate.evaluate_system(project, "netchu_small", Path("out"))
    assert not Path("out").exists()


def test_the_limit_is_per_level_and_an_added_line_exchanges_no_other(project):
    limited = small_project.params(evaluate={"datasets": ["drawn"], "limit": 5})
    subset = load_eval_subset(limited)
    assert (subset["level"] == "line").sum() == 5
    assert (subset["level"] == "word").sum() == 1
    write_table(small_project.drawn_lines("test", 13), project.lines / "drawn")
    again = load_eval_subset(limited)
    assert len(set(subset["id"]) & set(again["id"])) >= 5


def test_a_dataset_without_test_lines_is_an_error(project):
    write_table(small_project.drawn_lines("train", 2), project.lines / "drawn")
    with pytest.raises(NetchuError, match="dataset drawn has no test line"):
        load_eval_subset(project)


def test_split_val_selects_validation_lines(project):
    write_table(
        small_project.drawn_lines("test", 3) + small_project.drawn_lines("val", 4),
        project.lines / "drawn",
    )
    validating = small_project.params(evaluate={"datasets": ["drawn"], "split": "val"})
    assert set(load_eval_subset(validating)["split"]) == {"val"}
    assert len(load_eval_subset(validating)) == 4


def test_speed_is_measured_on_one_thread_and_threads_are_restored(project):
    before = torch.get_num_threads()
    speed = evaluate.time_system(project, "netchu_small", Path("speed.json"))
    assert torch.get_num_threads() == before
    assert speed == json.loads(Path("speed.json").read_text(encoding="utf-8"))
    assert 0 < speed["latency_p50_ms"] <= speed["latency_p95_ms"]
    assert (speed["timed_lines"], speed["threads"]) == (2, 1)
