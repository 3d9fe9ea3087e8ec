"""Views of an experiment that MLflow's own page offers under "Views": columns, filter and order.

They are tags in the form in which that page saves them; another version of it may not know them.
"""

from __future__ import annotations

import json
import time
from typing import Any

COLUMNS = (
    "attributes.`Dataset`",
    "metrics.`cer`",
    "metrics.`size_mb`",
    "metrics.`latency_p50_ms`",
    "metrics.`parameters`",
    "metrics.`interval/cer low`",
    "metrics.`interval/cer high`",
    "metrics.`wer`",
    "metrics.`ser`",
    "metrics.`train_seconds`",
    "tags.`trained_on`",
)

CHARTS = {
    "CER against size": ("size_mb", "cer"),
    "CER against latency": ("latency_p50_ms", "cer"),
}
KEY = "systems"
SECTION = "CER against size and speed"  # capitals come first


def systems_view() -> dict[str, str]:
    """The evaluated systems, best first: how good, how large, how fast, on which data."""
    state: dict[str, Any] = {
        "searchFilter": "tags.stage = 'evaluate'",
        "orderByKey": "metrics.`cer`",
        "orderByAsc": True,
        "selectedColumns": COLUMNS,
        "columnOrder": COLUMNS,
        "compareRunCharts": [_scatter(name, *axes) for name, axes in CHARTS.items()],
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
    return _saved(KEY, "Systems: error, size, speed", state)


def systems_link(server: str, experiment: str) -> str:
    """Address of that view of an experiment (its id), which needs no click."""
    return f"{server}/#/experiments/{experiment}/runs?viewStateShareKey={KEY}"


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


def _saved(key: str, name: str, state: dict[str, Any]) -> dict[str, str]:
    now = int(time.time() * 1000)
    envelope = {"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state)}
    return {f"mlflow.sharedViewState.{key}": json.dumps(envelope)}
