"""What a system's readings of all lines amount to: the figures of `metrics.json`."""

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
from netchu.evaluation.metrics.edits import score
from netchu.evaluation.metrics.rates import group_sums, summarise
from netchu.evaluation.metrics.tables import tables

WHOLE = "line"
"""The level that every system reads."""


def summaries(
    predictions: pd.DataFrame,
    datasets: Sequence[str],
    resamples: int,
    seed: int,
    looped: Callable[[str], bool] = ends_in_loop,
    *,
    details: bool = True,
) -> dict[str, Any]:
    """Figures by dataset and level, overall (of whole lines alone), and tables (of the same).

    predictions: one row a line, as in predictions.parquet. A level that the system does not read is
    absent, a dataset of which it reads none is {}: not measured. Beside the rates of `summarise`
    and `ece`, each place holds lines_hash, which is the same where the same lines were read, and
    sums (`group_sums`). Without `details` there are neither sums nor tables.

    Raises:
        NetchuError: no whole line, a reading that is no text, a confidence that is none.
    """
    predictions = predictions.reset_index(drop=True)
    scored = score(predictions["text"].tolist(), predictions["reading"].tolist(), looped)

    def figures(chosen: pd.DataFrame) -> dict[str, Any]:
        part, groups = scored.loc[chosen.index], bootstrap_groups(chosen)
        confidence_L = chosen["confidence"].to_numpy(np.float64)
        right_L = part["wrong"].to_numpy() == 0
        return {
            **summarise(part, groups, resamples, seed),
            **ece_with_interval(confidence_L, right_L, groups, resamples, seed),
            "lines_hash": lines_hash(chosen),
        } | ({"sums": group_sums(part, chosen)} if details else {})

    by_dataset: dict[str, dict[str, Any]] = {}
    for dataset in datasets:
        part = predictions[predictions["dataset"] == dataset]
        present = [level for level in LEVELS if (part["level"] == level).any()]
        by_dataset[dataset] = {level: figures(part[part["level"] == level]) for level in present}
    whole_lines = predictions[predictions["level"] == WHOLE]
    found = {"overall": figures(whole_lines), "datasets": by_dataset}
    if details:
        of_lines = scored.loc[whole_lines.index]
        found["tables"] = tables(whole_lines, of_lines, resamples, seed)
    return found


def lines_hash(lines: pd.DataFrame) -> str:
    """16 hex digits that tell which lines these are (columns dataset, id, text), in any order."""
    rows = zip(lines["dataset"], lines["id"], lines["text"], strict=True)
    told = "\n".join(sorted("\t".join(map(str, row)) for row in rows))
    return hashlib.sha256(told.encode()).hexdigest()[:16]
