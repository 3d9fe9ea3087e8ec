"""The stage outputs of a tiny profile, for tests of the report; nothing is trained or timed."""

import random
from pathlib import Path
from typing import Any

import pandas as pd

import small_project
from netchu.core.params import Params
from netchu.data.line_table import Skipped, write_skipped
from netchu.evaluation.metrics.summary import summarise_predictions
from netchu.evaluation.metrics_io import write_metrics

MODELS = Path("models/tiny")
PHASES = {
    "pretrain": small_project.numbered(small_project.PHASE),
    "finetune": small_project.numbered(small_project.PHASE),
}
SYSTEMS = {
    "netchu_small": {"model": small_project.MODEL, **PHASES},
    "crnn_vgg": {"model": {}, **PHASES},
    "trocr": {"model": {}, **PHASES, "note": "needs more than minutes"},
}
PHASE = {
    "datasets": ["drawn"], "optimizer": "adamw", "learning_rate": 0.001, "schedule": "onecycle",
    "augmentation_strength": [0.2, 0.6], "freeze": "", "folds": 1, "height": 0,
    "ema_decay": 0.0, "patience": 0,
}  # fmt: skip
SPEED = {
    "latency_p50_ms": 5.3, "latency_p95_ms": 7.2, "timed_lines": 30, "threads": 1, "device": "cpu",
    "isa": "AVX2", "machine": "a small machine", "throughput_lines_per_s": 310.5,
    "throughput_threads": 2,
    "by_width": [{"height": 64, "width": w, "latency_p50_ms": w / 80, "latency_p95_ms": w / 70,
                  "timed_lines": 10, "multiply_adds": 1000 * w} for w in (400, 800)],
}  # fmt: skip


def params(**changes: Any) -> Params:
    """Return params with three systems and two baselines, some of which tests evaluate."""
    baselines: dict[str, Any] = {"tesseract": {}, "vietocr_seq2seq": {}}
    return small_project.params(**({"systems": SYSTEMS, "baselines": baselines} | changes))


def worsen(text: str, share: float, rng: random.Random) -> str:
    """Return `text` with about `share` of its letters substituted, and some deleted."""
    read = [rng.choice("aáâbo ") if rng.random() < share else letter for letter in text]
    return "".join(letter for letter in read if rng.random() > share / 3).strip()


def predictions(share: float, seed: int = 1, readings: list[str] | None = None) -> pd.DataFrame:
    """Return readings of the test lines of `small_project`, worse for a larger `share`."""
    rng = random.Random(seed)
    lines = small_project.drawn_lines("test")
    rows = [
        {
            "id": line.id, "dataset": "drawn", "source": line.source, "level": line.level,
            "writer": line.writer, "text": line.text,
            "reading": readings[number] if readings else worsen(line.text, share, rng),
            "confidence": round(rng.random(), 3), "variant": "main",
        }
        for number, line in enumerate(lines)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def metrics(project: Params, system: str, read: pd.DataFrame) -> dict[str, Any]:
    """Return the metrics.json of an evaluation."""
    entry = {"phase": PHASE, "lines": 4, "images_seen_at_most": 40, "epochs": 2, "val_cer": 0.5}
    return {
        "system": system, "profile": project.profile, "seed": project.seed,
        "note": project.systems[system].note if system in project.systems else "", "hub_note": "",
        "size_mb": 1.5, "memory_mb": 3.0, "parameters": 123456, "main": "main", "variants": {},
        "training": [{"stage": stage, **entry} for stage in ("pretrain", "finetune")],
        **summarise_predictions(read, ["drawn"], 20, project.seed),
    }  # fmt: skip


def write_system(project: Params, system: str, read: pd.DataFrame, **changes: Any) -> None:
    """Write the folder of an evaluated system; `changes` replace keys of its metrics."""
    folder = MODELS / system
    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    read.to_parquet(folder / "evaluation" / "predictions.parquet", index=False)
    found = metrics(project, system, read) | changes
    write_metrics(found, folder / "evaluation" / "metrics.json")
    write_metrics(SPEED, folder / "speed.json")
    for stage in ("pretrain", "finetune"):
        (folder / stage).mkdir(exist_ok=True)
        history = {"train_loss": [3.0, 2.0], "val_cer": [float("nan"), 0.8]}
        pd.DataFrame(history).to_csv(folder / stage / "history.csv", index=False)
        write_metrics({"seconds": 61.5}, folder / f"{stage}.cost.json")
    reason = "too short for CTC: 3 time steps for 'hoà bình'"
    write_skipped([Skipped("train-01", reason)], folder / "finetune")


def write_baseline(project: Params, name: str, read: pd.DataFrame | None) -> None:
    """Write the folder of a baseline; without readings, with the reason for it."""
    folder = MODELS / "baselines" / name
    folder.mkdir(parents=True)
    found = {"baseline": True, "system": name, "version": f"{name} 1.0", "why": "", "note": ""}
    if read is None:
        missing = ("overall", "datasets", "tables")
        found |= {"why": f"{name} is not installed", "size_mb": None, "parameters": None}
        read = predictions(0.5)
    else:
        missing = ()
    content = metrics(project, name, read) | found | {"training": []}
    write_metrics({k: v for k, v in content.items() if k not in missing}, folder / "metrics.json")


def write_profile(project: Params, **shares: float) -> None:
    """Write lines, and an evaluation of each system with this share of wrong letters."""
    small_project.write_lines(project)
    for seed, (system, share) in enumerate(shares.items()):
        write_system(project, system, predictions(share, seed))
