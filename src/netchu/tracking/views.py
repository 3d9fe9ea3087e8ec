"""Saved views of an experiment that MLflow's page offers under "Views".

A view has columns, a filter, an order and charts. It is a tag of the experiment in the format of
MLflow's page, which is not documented; other versions of MLflow may ignore it.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

from netchu.evaluation.metrics.registry import compared_metrics, deciding_metric

VIEW = "systems"
SECTION = "CER against size and speed"
"""Title of the charts; a capital letter sorts it before MLflow's own sections."""

CHARTS = {"size": "size_mb", "latency": "latency_p50_ms"}
"""What the deciding metric is drawn against."""


def systems_view() -> dict[str, str]:
    """Return the tag of the view of evaluated systems: accuracy, size, speed and data."""
    metric = deciding_metric()
    state: dict[str, Any] = {
        "searchFilter": "tags.stage = 'evaluate'",
        "orderByKey": f"metrics.`{metric.name}`",
        "orderByAsc": metric.lower_is_better,
        "selectedColumns": _columns(),
        "columnOrder": _columns(),
        "columnWidths": {column: _width(column) for column in _columns()},
        "compareRunCharts": [
            _scatter(f"{metric.title} against {cost}", column, metric.name)
            for cost, column in CHARTS.items()
        ],
        "compareRunSections": [
            {
                "uuid": SECTION,
                "name": SECTION,
                "display": True,
                "isReordered": False,
                "deleted": False,
                "isGenerated": False,
            }
        ],
        "isAccordionReordered": True,
    }
    return _saved_view(VIEW, "Systems: error, size, speed", state)


def _columns() -> list[str]:
    decides, *others = (metric.name for metric in compared_metrics())
    # At 1600 px, MLflow's Assistant, open at first, hides what comes after the interval.
    first = [
        decides, "size_mb", "latency_p50_ms", f"interval/{decides} low",
        f"interval/{decides} high", "train_seconds",
    ]  # fmt: skip
    return [
        # MLflow's own column of datasets is so wide that latency would lie off the screen.
        *(f"metrics.`{name}`" for name in first),
        "tags.`data`",
        "tags.`profile`",
        *(f"metrics.`{name}`" for name in [*others, "parameters"]),
        "tags.`trained_on`",
    ]


def _width(column: str) -> int:
    """Return the width in px at which a column shows its name, and as much of its values."""
    kind, _, name = column.partition(".")
    letters = max(len(name.strip("`")), 7 if kind == "metrics" else 14)
    return 28 + 7 * letters


def systems_link(server: str, *experiments: str) -> str:
    """Return the address of this view of one or several experiments, given by their ids."""
    page = f"experiments/{experiments[0]}/runs?"
    if len(experiments) > 1:
        page = f"compare-experiments/s?experiments={quote(json.dumps(experiments), safe='')}&"
    return f"{server.rstrip('/')}/#/{page}viewStateShareKey={VIEW}"


def _scatter(name: str, x: str, y: str) -> dict[str, Any]:
    return {
        "type": "SCATTER",
        "uuid": name,
        "metricSectionId": SECTION,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 100,
        "xaxis": {"key": x, "type": "METRIC"},
        "yaxis": {"key": y, "type": "METRIC"},
    }


def _saved_view(key: str, name: str, state: dict[str, Any]) -> dict[str, str]:
    now = int(time.time() * 1000)
    envelope = {"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state)}
    return {f"mlflow.sharedViewState.{key}": json.dumps(envelope)}
