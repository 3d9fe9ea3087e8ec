"""What an evaluation shows in MLflow: few columns by which systems are compared, and a page each.

What stands before the slash in a metric's name is a group of MLflow's charts: `cer/kalapa line`
stands beside `cer/vnondb line`. A name without one is about all lines, or the system itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from netchu.core.formatting import confidence_interval, magnitude, megabytes, milliseconds, percent
from netchu.core.params import Params
from netchu.core.paths import CARD
from netchu.evaluation.metrics.edits import CLASSES
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
    home = params.models / system
    metrics = read_json(home / "evaluation" / "metrics.json")
    speed = read_json(home / "speed.json")
    card = read_json(params.model_folder(system, "finetune") / CARD)
    blocks = by_place(metrics)
    stages = (params.model_folder(system, stage) for stage in ("pretrain", "finetune"))
    known = [taken for taken in map(stage_seconds, stages) if taken is not None]
    times = {"train_seconds": sum(known) if known else None, "evaluate_seconds": seconds}
    files = [home / "evaluation" / name for name in ("metrics.json", "predictions.parquet")]
    return Run(
        name=system,
        tags=tags(params, system, "evaluate", card)
        | {"data": ", ".join(blocks), "split": params.evaluate.split, "machine": speed["machine"]},
        settings={"model": params.system(system).model, "evaluate": asdict(params.evaluate)},
        numbers=finite(rates(metrics, blocks) | costs(metrics, speed) | times),
        files=files,
        note=_note(metrics, blocks, speed),
        data={name: block["lines_hash"] for name, block in blocks.items()},
        split=params.evaluate.split,
        table=readings_table(pd.read_parquet(files[1]), metrics["main"]),
        seconds=seconds,
    )


def by_place(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of each dataset and level, by both names."""
    return {
        f"{dataset} {level}": block
        for dataset, levels in metrics["datasets"].items()
        for level, block in levels.items()
    }


def rates(metrics: Mapping[str, Any], blocks: Mapping[str, Any]) -> dict[str, float]:
    """Every rate that is charted, with its interval, overall and by place."""
    overall = metrics["overall"]
    found = {name: overall[name] for name in (*RATES, *PLAIN)}
    found |= {f"errors/{name}": overall[column] for name, column in KINDS.items()}
    found |= {f"interval/{rate} {end}": overall[f"{rate}_{end}"] for rate in RATES for end in ENDS}
    for place, block in blocks.items():
        found |= {f"{rate}/{place}": block[rate] for rate in RATES}
        found |= {f"interval/cer {place} {end}": block[f"cer_{end}"] for end in ENDS}
    for variant, summary in metrics["variants"].items():
        found |= {f"variant/{variant} {rate}": summary["overall"][rate] for rate in RATES}
    return found


def costs(metrics: Mapping[str, Any], speed: Mapping[str, Any]) -> dict[str, float]:
    """Size, and time by width."""
    found = {name: speed[name] for name in COSTS}
    found |= {name: metrics[name] for name in ("size_mb", "memory_mb", "parameters")}
    for row in speed["by_width"]:
        size = f"{row['height']}x{row['width']}"
        found[f"latency_p50_ms/{size}"] = row["latency_p50_ms"]
        found[f"multiply_adds/{size}"] = row["multiply_adds"]
    return found


def _note(metrics: Mapping[str, Any], blocks: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    """The run's page in Markdown."""
    remarks = [remark for remark in (metrics["note"], metrics["hub_note"]) if remark]
    return "\n\n".join([*remarks, places_table(metrics, blocks), cost_line(metrics, speed)])


def places_table(metrics: Mapping[str, Any], blocks: Mapping[str, Any]) -> str:
    """Rates overall and by place, in Markdown."""
    rows = {"all lines": metrics["overall"]} | dict(blocks)
    head = (
        "| lines of | lines | CER | 95 % interval | WER | SER |\n|---|---:|---:|---:|---:|---:|\n"
    )
    return head + "\n".join(_row(place, block) for place, block in rows.items())


def cost_line(metrics: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    """Size and speed in one sentence."""
    return (
        f"{megabytes(metrics['size_mb'])} MB, {magnitude(metrics['parameters'])} parameters; "
        f"{milliseconds(speed['latency_p50_ms'])} ms a line "
        f"(p95 {milliseconds(speed['latency_p95_ms'])} ms) with "
        f"{speed['threads']} thread of {speed['machine']}."
    )


def _row(place: str, block: Mapping[str, Any]) -> str:
    cer, *others = [percent(block[rate]) for rate in RATES]
    cells = [place, str(block["lines"]), cer, confidence_interval(block), *others]
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
