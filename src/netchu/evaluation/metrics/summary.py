"""Metrics of a system's predictions, overall and by dataset and level, as in `metrics.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from netchu.core.text import ends_in_loop
from netchu.data.line_table import LEVELS
from netchu.evaluation.metrics.bootstrap import bootstrap_groups
from netchu.evaluation.metrics.confidence import ece_with_interval
from netchu.evaluation.metrics.edits import score_lines
from netchu.evaluation.metrics.error_tables import error_tables
from netchu.evaluation.metrics.rates import group_sums, summarise

OVERALL_LEVEL = "line"
"""The level that every system reads; overall metrics are of these lines."""


def summarise_predictions(
    predictions: pd.DataFrame,
    datasets: Sequence[str],
    resamples: int,
    seed: int,
    is_loop: Callable[[str], bool] = ends_in_loop,
    *,
    details: bool = True,
) -> dict[str, Any]:
    """Return metrics overall and by dataset and level, and tables of the errors.

    Args:
        predictions: one row a line, as in predictions.parquet.
        datasets: names of the datasets that were evaluated.
        resamples: number of bootstrap resamples.
        seed: of the resampling.
        is_loop: see `score_lines`.
        details: include the sums by writer and the tables.

    Returns:
        `overall` (of lines only, without words and paragraphs), `datasets` by name and level, and
        `tables`, see `error_tables`. `overall` and each level hold the metrics of `summarise`,
        `ece`, `sums` (see `group_sums`) and `lines_hash`, which is equal where the same lines were
        read. A level that the system does not read is absent; a dataset without levels is {}.

    Raises:
        NetchuError: no prediction of level line, a reading that is not a string, or a confidence
            outside 0 to 1.
    """
    predictions = predictions.reset_index(drop=True)
    scored = score_lines(predictions["text"].tolist(), predictions["reading"].tolist(), is_loop)

    def metrics(rows: pd.DataFrame) -> dict[str, Any]:
        part, groups = scored.loc[rows.index], bootstrap_groups(rows)
        confidence_L = rows["confidence"].to_numpy(np.float64)
        right_L = part["wrong"].to_numpy() == 0
        return {
            **summarise(part, groups, resamples, seed),
            **ece_with_interval(confidence_L, right_L, groups, resamples, seed),
            "lines_hash": lines_hash(rows),
        } | ({"sums": group_sums(part, rows)} if details else {})

    by_dataset: dict[str, dict[str, Any]] = {}
    for dataset in datasets:
        part = predictions[predictions["dataset"] == dataset]
        present = [level for level in LEVELS if (part["level"] == level).any()]
        by_dataset[dataset] = {level: metrics(part[part["level"] == level]) for level in present}
    lines = predictions[predictions["level"] == OVERALL_LEVEL]
    summary = {"overall": metrics(lines), "datasets": by_dataset}
    if details:
        summary["tables"] = error_tables(lines, scored.loc[lines.index], resamples, seed)
    return summary


def lines_hash(lines: pd.DataFrame) -> str:
    """Return 16 hex digits that identify lines by dataset, id and text, whatever their order."""
    rows = zip(lines["dataset"], lines["id"], lines["text"], strict=True)
    content = "\n".join(sorted("\t".join(map(str, row)) for row in rows))
    return hashlib.sha256(content.encode()).hexdigest()[:16]
