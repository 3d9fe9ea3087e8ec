"""The files of a project's stages, as MLflow runs are made of them, without any training."""

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import onnx
import pandas as pd

import small_project
from bar_model import write_bar_model
from netchu.core.params import Params
from netchu.tracking.store import MlflowClient
from small_project import training_history

SYSTEM = "netchu_small"
WRITERS = 8
RATES = ("cer", "wer", "ser", "cer_folded")
KINDS = ("base", "mark", "tone", "case", "digit", "space", "punctuation")


@cache
def _empty_store() -> Path:
    """A database with its tables, which take seconds to create."""
    store = Path(tempfile.mkdtemp()) / "mlflow.db"
    MlflowClient(f"sqlite:///{store}").search_experiments()
    return store


def put_store(folder: Path) -> str:
    """Put an empty database into `folder`; return its URI.

    The URI is absolute, because MLflow caches open databases by their URIs.
    """
    shutil.copy(_empty_store(), folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


def params(**changes) -> Params:
    """Return params of a small project that exports its system."""
    return small_project.params(**({"exports": {SYSTEM: {"network": SYSTEM}}} | changes))


def home(project: Params, system: str = SYSTEM) -> Path:
    """Return the folder of a system's stage outputs."""
    return project.models / system


def block(errors: int, lines: str = "0123456789abcdef") -> dict:
    """Return metrics of a slice in which each writer's 100 characters have so many errors."""
    rate = errors / 100
    edits, units = [errors] * WRITERS, [100] * WRITERS
    return {
        "lines": 100 * WRITERS, "characters": 100 * WRITERS, "words": 100 * WRITERS,
        **{f"{name}{end}": rate for name in RATES for end in ("", "_low", "_high")},
        **{f"{kind}_errors": rate / len(KINDS) for kind in KINDS},
        "missing": 0.0, "extra": 0.0, "kalapa_score": 1 - rate, "loop_rate": 0.0, "ece": 0.02,
        "groups": WRITERS, "lines_hash": lines,
        "sums": {"edits": edits, "characters": units, "word_edits": edits, "words": units,
                 "wrong": edits, "lines": units},
    }  # fmt: skip


def write_system(project: Params, weights: str, errors: int, system: str = SYSTEM, **changes):
    """Write the outputs of training, evaluation and export; `changes` update the metrics."""
    folder = home(project, system)
    shutil.rmtree(folder, ignore_errors=True)
    phase = {"stage": "finetune", "lines": 4, "val_cer": 0.9, "images_seen_at_most": 1230,
             "phase": {"datasets": ["drawn"]}}  # fmt: skip
    card = {"weights": weights, "provenance": {"data": {"drawn": "cd" * 32}}, "training": [phase]}
    for stage in ("pretrain", "finetune"):
        (folder / stage).mkdir(parents=True)
        _write(card | {"network": system}, folder / stage / "model.json")
        _write({"seconds": 61.5}, folder / f"{stage}.cost.json")
        (folder / stage / "model.safetensors").write_bytes(bytes(2_000_000))
        training_history().to_csv(folder / stage / "history.csv", index=False)
    _evaluation(folder, errors, changes | {"system": system, "profile": project.profile})
    write_bar_model(folder / "export", **card)
    exported = {"size_mb": 1.5, "test": {"drawn": block(errors)}}
    _write(exported, folder / "export.json")
    _write({"latency_p50_ms": 2.34, "machine": "some, 2 cores"}, folder / "export.speed.json")
    network = onnx.load(folder / "export" / "model.onnx")
    network.metadata_props.add(key="weights", value=weights)
    onnx.save(network, folder / "export" / "model.onnx")


def _evaluation(folder: Path, errors: int, changes: dict) -> None:
    metrics = {
        "seed": 7, "note": "", "hub_note": "", "main": "main", "size_mb": 2.0, "memory_mb": 4.0,
        "parameters": 500_000, "overall": block(errors),
        "datasets": {"drawn": {"line": block(errors)}}, "variants": {},
    }  # fmt: skip
    speed = {
        "latency_p50_ms": 3.0, "latency_p95_ms": 4.0, "throughput_lines_per_s": 300.5,
        "threads": 1, "timed_lines": 2, "machine": "some, 2 cores",
        "by_width": [{"height": 64, "width": 800, "latency_p50_ms": 5.0, "multiply_adds": 12}],
    }  # fmt: skip
    (folder / "evaluation").mkdir()
    _write(metrics | changes, folder / "evaluation" / "metrics.json")
    _write(speed, folder / "speed.json")
    readings().to_parquet(folder / "evaluation" / "predictions.parquet", index=False)


def readings(number: int = 300) -> pd.DataFrame:
    """Return readings of lines and of a few words, by two variants."""
    rows = [
        {
            "id": f"line-{n}", "dataset": "drawn", "source": "drawn", "writer": f"hand {n % 2}",
            "level": "word" if n < 5 else "line", "text": f"tổ {n}",
            "reading": f"tổ {n}" if n % 2 else "tô", "confidence": 0.5, "variant": variant,
        }
        for variant in ("main", "other")
        for n in range(number)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def write_report(folder: Path) -> Path:
    """Write a minimal report."""
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<p>report</p>", encoding="utf-8")
    table = "| system | CER |\n|---|---|\n" + "| netchu_small | 9.9 % |\n" * 500
    (folder / "leaderboard.md").write_text(table, encoding="utf-8")
    return folder


def _write(content: dict, path: Path) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
