"""What an evaluation shows in MLflow: few columns by which systems are compared, and a page each.

What stands before the slash in a metric's name is a group of MLflow's charts: `cer/kalapa line`
stands beside `cer/vnondb line`. A name without one is about all lines, or the system itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from netchu.format import interval, megabytes, millions, milliseconds, percent
from netchu.metrics.edits import CLASSES
from netchu.params import Params
from netchu.places import CARD
from netchu.tracking import store
from netchu.tracking.runs import Run, finite, read_json, stage_seconds, tags
from netchu.tracking.views import systems_view

RATES = ("cer", "wer", "ser")
ENDS = ("low", "high")
PLAIN = ("cer_folded", "kalapa_score", "loop_rate", "ece", "lines", "characters")
KINDS = {kind: f"{kind}_errors" for kind in CLASSES} | {"missing": "missing", "extra": "extra"}
"""What the edits were, as shown -> as measured."""

COSTS = ("latency_p50_ms", "latency_p95_ms", "throughput_lines_per_s")
ROWS = 200
"""Readings in a run's table."""


def track_evaluation(params: Params, system: str, seconds: float) -> None:
    """Record the evaluation of a system, which took `seconds`, from the files that it left."""
    store.track(params, evaluation_run(params, system, seconds), systems_view())


def evaluation_run(params: Params, system: str, seconds: float) -> Run:
    """Rates overall and by dataset and level, size, speed, time, and some of the readings.

    Raises:
        NetchuError: the system is not evaluated, or a file of it is damaged.
    """
    home = Path("models") / params.profile / system
    metrics = read_json(home / "evaluation" / "metrics.json")
    speed = read_json(home / "speed.json")
    card = read_json(params.model_folder(system, "finetune") / CARD)
    blocks = {
        f"{dataset} {level}": block
        for dataset, levels in metrics["datasets"].items()
        for level, block in levels.items()
    }
    stages = (params.model_folder(system, stage) for stage in ("pretrain", "finetune"))
    known = [taken for taken in map(stage_seconds, stages) if taken is not None]
    times = {"train_seconds": sum(known) if known else None, "evaluate_seconds": seconds}
    files = [home / "evaluation" / name for name in ("metrics.json", "predictions.parquet")]
    return Run(
        name=system,
        tags=tags(params, system, "evaluate", card)
        | {"data": ", ".join(blocks), "split": params.evaluate.split, "machine": speed["machine"]},
        settings={"model": params.system(system).model, "evaluate": asdict(params.evaluate)},
        numbers=finite(_rates(metrics, blocks) | _costs(metrics, speed) | times),
        files=files,
        note=_note(metrics, blocks, speed),
        data={name: block["lines_hash"] for name, block in blocks.items()},
        split=params.evaluate.split,
        table=readings_table(pd.read_parquet(files[1]), metrics["main"]),
        seconds=seconds,
    )


def _rates(metrics: Mapping[str, Any], blocks: Mapping[str, Any]) -> dict[str, float]:
    overall = metrics["overall"]
    rates = {name: overall[name] for name in (*RATES, *PLAIN)}
    rates |= {f"errors/{name}": overall[column] for name, column in KINDS.items()}
    rates |= {f"interval/{rate} {end}": overall[f"{rate}_{end}"] for rate in RATES for end in ENDS}
    for place, block in blocks.items():
        rates |= {f"{rate}/{place}": block[rate] for rate in RATES}
        rates |= {f"interval/cer {place} {end}": block[f"cer_{end}"] for end in ENDS}
    for variant, summary in metrics["variants"].items():
        rates |= {f"variant/{variant} {rate}": summary["overall"][rate] for rate in RATES}
    return rates


def _costs(metrics: Mapping[str, Any], speed: Mapping[str, Any]) -> dict[str, float]:
    costs = {name: speed[name] for name in COSTS}
    costs |= {name: metrics[name] for name in ("size_mb", "memory_mb", "parameters")}
    for row in speed["by_width"]:
        size = f"{row['height']}x{row['width']}"
        costs[f"latency_p50_ms/{size}"] = row["latency_p50_ms"]
        costs[f"multiply_adds/{size}"] = row["multiply_adds"]
    return costs


def _note(metrics: Mapping[str, Any], blocks: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    """The run's page in Markdown."""
    rows = {"all lines": metrics["overall"]} | dict(blocks)
    remarks = [remark for remark in (metrics["note"], metrics["hub_note"]) if remark]
    head = (
        "| lines of | lines | CER | 95 % interval | WER | SER |\n|---|---:|---:|---:|---:|---:|\n"
    )
    table = head + "\n".join(_row(place, block) for place, block in rows.items())
    costs = (
        f"{megabytes(metrics['size_mb'])} MB, {millions(metrics['parameters'])} parameters; "
        f"{milliseconds(speed['latency_p50_ms'])} ms a line "
        f"(p95 {milliseconds(speed['latency_p95_ms'])} ms) with "
        f"{speed['threads']} thread of {speed['machine']}."
    )
    return "\n\n".join([*remarks, table, costs])


def _row(place: str, block: Mapping[str, Any]) -> str:
    rates = [percent(block[rate]) for rate in RATES]
    cells = [place, str(block["lines"]), rates[0], interval(block), *rates[1:]]
    return f"| {' | '.join(cells)} |"


def readings_table(predictions: pd.DataFrame, variant: str) -> pd.DataFrame:
    """At most `ROWS` readings, the same lines of every system, so that they can be compared.

    Columns: text, reading, confidence, right, dataset, level, line; the first two are what MLflow's
    page shows beside one another.
    """
    chosen = predictions[predictions["variant"] == variant]
    parts = list(_by_lot(chosen))
    each = max(1, ROWS // max(1, len(parts)))
    table = pd.concat([part.head(each) for part in parts], ignore_index=True).head(ROWS)
    table["right"] = table["text"] == table["reading"]
    columns = ["text", "reading", "confidence", "right", "dataset", "level", "line"]
    return table.rename(columns={"id": "line"})[columns]


def _by_lot(predictions: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The readings of each dataset and level, in an order that depends on the lines' names only."""
    for _, part in predictions.groupby(["dataset", "level"], sort=True):
        lot = part["id"].map(lambda line: hashlib.sha256(str(line).encode()).hexdigest())
        yield part.assign(lot=lot).sort_values("lot")
