"""Rates of many lines, with their intervals, and the sums from which two systems are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.bootstrap import bootstrap_groups, draw, interval
from netchu.evaluation.metrics.edits import CLASSES

Rates = Mapping[str, tuple[str, str]]

RATES: Rates = {
    "cer": ("edits", "characters"),
    "wer": ("word_edits", "words"),
    "ser": ("wrong", "lines"),
    "cer_folded": ("folded_edits", "characters"),
    "wer_folded": ("folded_word_edits", "words"),
    "ser_folded": ("folded_wrong", "lines"),
    "kalapa_score": ("kalapa", "lines"),
    "loop_rate": ("loops", "lines"),
    **{f"{name}_errors": (name, "characters") for name in CLASSES},
    "missing": ("missing", "characters"),
    "extra": ("extra", "characters"),
}
"""Rate -> the columns of `score` that are divided."""

COUNTS = ("lines", "characters", "words")

SUMS = ("edits", "characters", "word_edits", "words", "wrong", "lines")
"""Columns of `score` that a paired comparison needs, by group."""

FEWEST = 12
"""With fewer writers a paired comparison (`comparing`) can hardly tell chance from difference."""

PARTS = 20

DIGITS = 6


def summarise(
    scored: pd.DataFrame,
    groups: Sequence[str],
    resamples: int,
    seed: int,
    rates: Rates = RATES,
) -> dict[str, float | int]:
    """The rates of the lines in `scored`, each with the ends of its 95 % interval.

    `groups` names for each line what the bootstrap draws (`bootstrap_groups`). Rates are ratios,
    rounded to 6 digits, each with _low and _high; the `_errors` of CLASSES add up to cer, of which
    missing and extra are another cut. Beside them the counts lines, characters, words and groups.

    Raises:
        NetchuError: no line, or a count that is not a number.
    """
    if scored.empty:
        raise NetchuError("no line to summarise; is the test split empty?")
    if holes := [str(name) for name in scored.columns[scored.isna().any()]]:
        raise NetchuError(f"{', '.join(holes)}: not a number in a line's score; score it again")
    totals, sums_G = scored.sum(), _by_group(scored, groups)
    result: dict[str, float | int] = {name: int(totals[name]) for name in COUNTS}
    result["groups"] = len(sums_G)
    weights_RG = draw(len(sums_G), resamples, seed)
    drawn_R = {
        name: weights_RG @ sums_G[name].to_numpy(np.float64)
        for name in dict.fromkeys(column for columns in rates.values() for column in columns)
    }
    for rate, (edits, units) in rates.items():
        ends = interval(drawn_R[edits] / drawn_R[units])
        result |= with_interval(rate, totals[edits] / totals[units], ends)
    return result


def with_interval(name: str, value: float, ends: tuple[float, float]) -> dict[str, float]:
    """A rounded figure beside the ends of its interval."""
    return {name: rounded(value), f"{name}_low": rounded(ends[0]), f"{name}_high": rounded(ends[1])}


def rounded(value: Any) -> float:
    """A figure as files hold it."""
    return round(float(value), DIGITS)


def group_sums(scored: pd.DataFrame, lines: pd.DataFrame) -> dict[str, list[int]]:
    """The columns SUMS of each group of `lines` (id, source, writer), which stay unnamed.

    Two systems that read the same lines have the same groups in the same order. Where there are
    fewer than FEWEST writers, PARTS parts of each one's lines take their place; a comparison then
    tells of these writers only.
    """
    groups = bootstrap_groups(lines)
    if len(set(groups)) < FEWEST:
        groups = [
            f"{group} {crc32(str(i).encode()) % PARTS:02d}"
            for group, i in zip(groups, lines["id"], strict=True)
        ]
    sums = _by_group(scored, groups)
    return {name: [int(value) for value in sums[name]] for name in SUMS}


def _by_group(scored: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Column sums of the lines of each group, ordered by its name."""
    return scored.groupby(np.asarray(groups, dtype=object), sort=True).sum()
