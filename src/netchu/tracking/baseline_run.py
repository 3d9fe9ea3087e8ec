"""What a baseline's row shows in MLflow: a run beside the systems that have read the same lines."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from netchu.core.params import Params
from netchu.tracking import store
from netchu.tracking.evaluation_run import (
    by_place,
    cost_line,
    costs,
    places_table,
    rates,
    readings_table,
)
from netchu.tracking.runs import Run, finite, read_json, source
from netchu.tracking.views import systems_view


def track_baseline(params: Params, baseline: str, seconds: float) -> None:
    """Record a baseline's row, which took `seconds`, from the files that it left."""
    store.track(params, baseline_run(params, baseline, seconds), systems_view())


def baseline_run(params: Params, baseline: str, seconds: float) -> Run:
    """The row's figures as an evaluation's, as far as there are any, or why there are none.

    Raises:
        NetchuError: the baseline has no row, or a file of it is damaged.
    """
    home = params.models / "baselines" / baseline
    metrics = read_json(home / "metrics.json")
    files = [home / name for name in ("metrics.json", "speed.json", "predictions.parquet")]
    timed, read = (file.is_file() for file in files[1:])
    remarks = [remark for remark in (metrics["why"], metrics["note"]) if remark]
    times = [done["seconds"] for done in metrics["training"]]
    numbers = {"train_seconds": sum(times) if times else None}
    tags = {"version": metrics["version"]}
    blocks, table = {}, None
    if read:
        blocks = by_place(metrics)
        table = readings_table(pd.read_parquet(files[2]), metrics["main"])
        numbers |= rates(metrics, blocks)
        remarks.append(places_table(metrics, blocks))
    if timed:
        speed = read_json(files[1])
        numbers |= costs(metrics, speed)
        tags["machine"] = speed["machine"]
        remarks.append(cost_line(metrics, speed))
    return Run(
        name=baseline,
        tags=tags
        | {
            "system": baseline,
            "baseline": "true",
            "stage": "evaluate",
            "profile": params.profile,
            "trained_on": ", ".join(sorted(set(params.baselines[baseline].get("datasets", ())))),
            "data": ", ".join(blocks),
            "split": params.evaluate.split,
        }
        | source("baselines"),
        settings={"baseline": params.baselines[baseline], "evaluate": asdict(params.evaluate)},
        numbers=finite(numbers),
        files=[file for file in files if file.is_file()],
        note="\n\n".join(remarks),
        data={name: block["lines_hash"] for name, block in blocks.items()},
        split=params.evaluate.split,
        table=table,
        seconds=seconds,
    )
