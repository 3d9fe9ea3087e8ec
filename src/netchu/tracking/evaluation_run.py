"""The MLflow run of an evaluation: metrics that compare systems, and a page with the details.

MLflow groups charts by the part of a metric's name before the slash: `cer/kalapa line` stands
beside `cer/vnondb line`. A name without a slash is about all lines, or about the system itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from netchu.core.files import read_json
from netchu.core.formatting import confidence_interval, magnitude, megabytes, milliseconds
from netchu.core.params import Params
from netchu.core.paths import CARD
from netchu.evaluation.metrics import registry
from netchu.tracking import store
from netchu.tracking.runs import (
    REPRODUCE,
    Run,
    finite_numbers,
    stage_seconds,
    system_params,
    system_tags,
)
from netchu.tracking.views import systems_view

SPEED_METRICS = ("latency_p50_ms", "latency_p95_ms", "throughput_lines_per_s")
SIZE_METRICS = ("size_mb", "memory_mb", "parameters")

MAX_READINGS = 200
"""Rows of a run's table of readings."""


def track_evaluation(params: Params, system: str, seconds: float) -> None:
    """Record the evaluation of a system, which took `seconds`, from its files."""
    store.track_run(params, evaluation_run(params, system, seconds))


def evaluation_run(params: Params, system: str, seconds: float = 0.0) -> Run:
    """Return the run of an evaluation: metrics, size, speed, times, and a sample of the readings.

    Raises:
        NetchuError: the system is not evaluated, or one of its files is damaged.
    """
    folder = params.models / system
    metrics = read_json(folder / "evaluation" / "metrics.json", REPRODUCE)
    speed = read_json(folder / "speed.json", REPRODUCE)
    card = read_json(params.model_folder(system, "finetune") / CARD, REPRODUCE)
    by_slice = metrics_by_slice(metrics)
    stages = (params.model_folder(system, stage) for stage in ("pretrain", "finetune"))
    known = [taken for taken in map(stage_seconds, stages) if taken is not None]
    times = {"train_seconds": round(sum(known), 1) if known else None}
    files = [folder / "evaluation" / name for name in ("metrics.json", "predictions.parquet")]
    return Run(
        name=system,
        tags=system_tags(params, system, "evaluate", card)
        | {
            "data": ", ".join(by_slice),
            "split": params.evaluate.split,
            "machine": speed["machine"],
        },
        params=system_params(params, system, "pretrain", "finetune")
        | {"evaluate": asdict(params.evaluate)},
        metrics=finite_numbers(
            metric_values(metrics, by_slice) | cost_metrics(metrics, speed) | times
        ),
        files=[*files, folder / "speed.json"],
        note=_note(metrics, by_slice, speed),
        datasets={name: found["lines_hash"] for name, found in by_slice.items()},
        split=params.evaluate.split,
        readings=sample_readings(pd.read_parquet(files[1]), metrics["main"]),
        seconds=seconds,
        experiment_tags=systems_view(),
        training=[card["weights"], card.get("provenance", {}).get("pretrained", "")],
    )


def metrics_by_slice(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of each level of each dataset, by 'dataset level'."""
    return {
        f"{dataset} {level}": values
        for dataset, levels in metrics["datasets"].items()
        for level, values in levels.items()
    }


def metric_values(metrics: Mapping[str, Any], by_slice: Mapping[str, Any]) -> dict[str, float]:
    """Return what MLflow shows of an evaluation: metrics and intervals, overall and by slice."""
    overall = metrics["overall"]
    compared = [metric.name for metric in registry.compared_metrics()]
    decides = registry.deciding_metric().name
    shown = [metric.name for metric in registry.shown_metrics()]
    values = {name: overall[name] for name in (*shown, "ece", "lines", "characters")}
    for breakdown in ("class", "operation"):
        for metric in registry.breakdown_metrics(breakdown):
            values[f"errors/{metric.numerator}"] = overall[metric.name]
    for end in ("low", "high"):
        for name in compared:
            values[f"interval/{name} {end}"] = overall[f"{name}_{end}"]
        for part, found in by_slice.items():
            values[f"interval/{decides} {part} {end}"] = found[f"{decides}_{end}"]
    for name in compared:
        for part, found in by_slice.items():
            values[f"{name}/{part}"] = found[name]
        for variant, summary in metrics["variants"].items():
            values[f"variant/{variant} {name}"] = summary["overall"][name]
    return values


def cost_metrics(metrics: Mapping[str, Any], speed: Mapping[str, Any]) -> dict[str, float]:
    """Return size, speed, and latency and multiply-adds of each latency sample."""
    values = {name: speed[name] for name in SPEED_METRICS}
    values |= {name: metrics[name] for name in SIZE_METRICS}
    for row in speed["by_width"]:
        size = f"{row['height']}x{row['width']}"
        values[f"latency_p50_ms/{size}"] = row["latency_p50_ms"]
        values[f"multiply_adds/{size}"] = row["multiply_adds"]
    return values


def _note(metrics: Mapping[str, Any], by_slice: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    """Return the run's description in Markdown."""
    remarks = [remark for remark in (metrics["note"], metrics["hub_note"]) if remark]
    return "\n\n".join([*remarks, metrics_table(metrics, by_slice), cost_summary(metrics, speed)])


def metrics_table(metrics: Mapping[str, Any], by_slice: Mapping[str, Any]) -> str:
    """Return the compared metrics overall and by slice as a Markdown table."""
    decides, *others = registry.compared_metrics()
    titles = [decides.title, "95 % interval", *(metric.title for metric in others)]
    lines = [f"| lines of | lines | {' | '.join(titles)} |", "|---|---:|" + "---:|" * len(titles)]
    for name, values in ({"all lines": metrics["overall"]} | dict(by_slice)).items():
        cells = [
            name,
            str(values["lines"]),
            decides.format(values[decides.name]),
            confidence_interval(values, decides.name),
            *(metric.format(values[metric.name]) for metric in others),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cost_summary(metrics: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    """Return size and speed in one sentence."""
    return (
        f"{megabytes(metrics['size_mb'])} MB, {magnitude(metrics['parameters'])} parameters; "
        f"{milliseconds(speed['latency_p50_ms'])} ms a line "
        f"(p95 {milliseconds(speed['latency_p95_ms'])} ms) with "
        f"{speed['threads']} thread of {speed['machine']}."
    )


def sample_readings(predictions: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Return at most MAX_READINGS readings, of the same lines for every system.

    Columns: text, reading, confidence, right, dataset, level, line. MLflow's page compares the
    first two side by side.
    """
    parts = list(_shuffled_slices(predictions[predictions["variant"] == variant]))
    rows = max(1, MAX_READINGS // max(1, len(parts)))
    table = pd.concat([part.head(rows) for part in parts], ignore_index=True).head(MAX_READINGS)
    table["right"] = table["text"] == table["reading"]
    columns = ["text", "reading", "confidence", "right", "dataset", "level", "line"]
    return table.rename(columns={"id": "line"})[columns]


def _shuffled_slices(predictions: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the rows of each dataset and level, in the order of a hash of the lines' ids."""
    for _, part in predictions.groupby(["dataset", "level"], sort=True):
        order = part["id"].map(lambda line: hashlib.sha256(str(line).encode()).hexdigest())
        yield part.assign(order=order).sort_values("order")
