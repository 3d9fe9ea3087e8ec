"""The MLflow run of a baseline, comparable with the evaluation runs of systems."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from netchu.core.files import read_json
from netchu.core.params import Params
from netchu.tracking import store
from netchu.tracking.evaluation_run import (
    cost_metrics,
    cost_summary,
    metric_values,
    metrics_by_slice,
    metrics_table,
    sample_readings,
)
from netchu.tracking.runs import REPRODUCE, Run, finite_numbers, source_tags
from netchu.tracking.views import systems_view


def track_baseline(params: Params, baseline: str, seconds: float) -> None:
    """Record the measurement of a baseline, which took `seconds`, from its files."""
    store.track_run(params, baseline_run(params, baseline, seconds))


def baseline_run(params: Params, baseline: str, seconds: float = 0.0) -> Run:
    """Return the run of a baseline: metrics as far as it has any, or why it has none.

    Raises:
        NetchuError: the baseline is not measured, or one of its files is damaged.
    """
    folder = params.models / "baselines" / baseline
    metrics = read_json(folder / "metrics.json", REPRODUCE)
    files = [folder / name for name in ("metrics.json", "speed.json", "predictions.parquet")]
    has_speed, has_predictions = (file.is_file() for file in files[1:])
    remarks = [remark for remark in (metrics["why"], metrics["note"]) if remark]
    values: dict[str, float | None] = {}
    tags = {"version": metrics["version"]}
    by_slice, readings = {}, None
    if has_predictions:
        by_slice = metrics_by_slice(metrics)
        readings = sample_readings(pd.read_parquet(files[2]), metrics["main"])
        values |= metric_values(metrics, by_slice)
        remarks.append(metrics_table(metrics, by_slice))
    if has_speed:
        speed = read_json(files[1], REPRODUCE)
        values |= cost_metrics(metrics, speed)
        tags["machine"] = speed["machine"]
        remarks.append(cost_summary(metrics, speed))
    return Run(
        name=baseline,
        tags=tags
        | {
            "system": baseline,
            "baseline": "true",
            "stage": "evaluate",
            "profile": params.profile,
            "data": ", ".join(by_slice),
            "split": params.evaluate.split,
        }
        | source_tags("baselines"),
        params={"evaluate": asdict(params.evaluate)},
        metrics=finite_numbers(values),
        files=[file for file in files if file.is_file()],
        note="\n\n".join(remarks),
        datasets={name: found["lines_hash"] for name, found in by_slice.items()},
        split=params.evaluate.split,
        readings=readings,
        seconds=seconds,
        experiment_tags=systems_view(),
    )
