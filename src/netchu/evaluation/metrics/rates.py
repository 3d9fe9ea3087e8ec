"""Metrics of many lines with confidence intervals, and the sums that two systems are paired by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics import registry
from netchu.evaluation.metrics.bootstrap import (
    bootstrap_groups,
    quantile_interval,
    resample_weights,
)
from netchu.evaluation.metrics.registry import COUNTS, Metric

MIN_GROUPS = 12
"""With fewer writers a paired comparison could hardly find a difference significant."""

PARTS_PER_WRITER = 20

DIGITS = 6
"""Decimals of the numbers in `metrics.json`."""


def summarise(
    scored: pd.DataFrame,
    groups: Sequence[str],
    resamples: int,
    seed: int,
    metrics: Sequence[Metric] | None = None,
) -> dict[str, float | int]:
    """Return metrics of the lines in `scored`, each with its 95 % bootstrap interval.

    Args:
        scored: output of `score_lines`.
        groups: for each line the unit that the bootstrap resamples, see `bootstrap_groups`.
        resamples: number of bootstrap resamples.
        seed: of the resampling.
        metrics: what to compute; all METRICS by default.

    Returns:
        The value of each metric by name, with `_low` and `_high` for its interval, and the counts
        lines, characters, words and groups.

    Raises:
        NetchuError: there is no line, or a count is not a number.
    """
    if scored.empty:
        raise NetchuError("no line to summarise; is the test split empty?")
    if bad := [str(name) for name in scored.columns[scored.isna().any()]]:
        raise NetchuError(f"{', '.join(bad)}: not a number in a line's score; score it again")
    metrics = registry.METRICS if metrics is None else metrics
    totals, sums_G = scored.sum(), _sum_by_group(scored, groups)
    result: dict[str, float | int] = {name: int(totals[name]) for name in COUNTS}
    result["groups"] = len(sums_G)
    weights_RG = resample_weights(len(sums_G), resamples, seed)
    columns = dict.fromkeys(c for m in metrics for c in (m.numerator, m.denominator))
    resampled_R = {name: weights_RG @ sums_G[name].to_numpy(np.float64) for name in columns}
    for metric in metrics:
        ends = quantile_interval(resampled_R[metric.numerator] / resampled_R[metric.denominator])
        value = totals[metric.numerator] / totals[metric.denominator]
        result |= with_interval(metric.name, value, ends)
    return result


def with_interval(name: str, value: float, ends: tuple[float, float]) -> dict[str, float]:
    """Return a rounded value with the ends of its interval, as `metrics.json` holds them."""
    low, high = ends
    return {
        name: round_metric(value),
        f"{name}_low": round_metric(low),
        f"{name}_high": round_metric(high),
    }


def round_metric(value: Any) -> float:
    """Round a number to the precision of `metrics.json`."""
    return round(float(value), DIGITS)


def group_sums(scored: pd.DataFrame, lines: pd.DataFrame) -> dict[str, list[float | int]]:
    """Return sums of the compared metrics' columns by group of lines, without the groups' names.

    Two systems that read the same lines get the same groups in the same order. With fewer than
    MIN_GROUPS writers, each writer's lines are split into PARTS_PER_WRITER groups; a comparison
    then generalises to other lines of these writers, not to other writers.

    Args:
        scored: output of `score_lines`.
        lines: the lines' id, source and writer, in the same order.
    """
    groups = bootstrap_groups(lines)
    if len(set(groups)) < MIN_GROUPS:
        groups = [
            f"{group} {crc32(str(i).encode()) % PARTS_PER_WRITER:02d}"
            for group, i in zip(groups, lines["id"], strict=True)
        ]
    sums = _sum_by_group(scored, groups)
    return {
        name: [int(value) if value == int(value) else round_metric(value) for value in sums[name]]
        for name in registry.sum_columns()
    }


def _sum_by_group(scored: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Return column sums of each group's lines, ordered by the groups' names."""
    return scored.groupby(np.asarray(groups, dtype=object), sort=True).sum()
