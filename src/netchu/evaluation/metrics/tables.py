"""Where the errors lie: which tones and letters are taken for one another, and on which lines."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from netchu.core.text import TONES, decompose, split_tone
from netchu.evaluation.metrics.bootstrap import bootstrap_groups
from netchu.evaluation.metrics.confidence import reject_curve, reliability
from netchu.evaluation.metrics.edits import Pair, align, clean
from netchu.evaluation.metrics.rates import RATES, summarise

LENGTHS = ((1, 10), (11, 20), (21, 40), (41, 80), (81, None))
"""Ranges of characters by which lines are told apart, both ends included."""

MOST_PAIRS = 30
"""Pairs of letters that are listed."""

_CER = {"cer": RATES["cer"]}


def tables(
    predictions: pd.DataFrame, scored: pd.DataFrame, resamples: int, seed: int
) -> dict[str, Any]:
    """Everything the report draws beside the rates, for JSON.

    predictions: columns id, source, writer, text, reading, confidence; scored: their `score`, row
    by row. tones: 6 × 6 counts on aligned vowels, rows the truth's tone. look_alikes: the letters
    and digits taken for one another most often, without case and tone. by_length, by_source,
    by_writer (known ones): lines, characters and CER with the ends of its 95 % interval, which
    draws writers, or lines of the one writer. reliability, reject_curve: see `confidence`.
    """
    predictions = predictions.reset_index(drop=True)
    scored = scored.reset_index(drop=True)
    pairs = Counter(
        pair
        for line in align(*clean(predictions["text"].tolist(), predictions["reading"].tolist()))
        for pair in line
    )

    def cer(part: pd.DataFrame) -> dict[str, Any]:
        rates = summarise(scored.loc[part.index], bootstrap_groups(part), resamples, seed, _CER)
        return {k: rates[k] for k in ("lines", "characters", "cer", "cer_low", "cer_high")}

    def by(*names: str) -> list[dict[str, Any]]:
        known = predictions[(predictions[list(names)] != "").all(axis=1)]
        grouped = known.groupby(list(names), sort=True)
        return [dict(zip(names, map(str, key), strict=True)) | cer(part) for key, part in grouped]

    confidence_L = predictions["confidence"].to_numpy(np.float64)
    return {
        "tones": tone_confusion(pairs),
        "look_alikes": look_alikes(pairs),
        "by_length": [
            {"from": least, "to": most} | cer(predictions[chosen])
            for least, most in LENGTHS
            if (chosen := scored["characters"].between(least, most or np.inf)).any()
        ],
        "by_source": by("source"),
        "by_writer": by("source", "writer"),
        "reliability": reliability(confidence_L, scored["wrong"].to_numpy() == 0),
        "reject_curve": reject_curve(confidence_L, scored),
    }


def tone_confusion(pairs: Counter[Pair]) -> dict[str, Any]:
    """How often each tone (rows) was read as each (columns), where a vowel was read as a vowel."""
    labels = list(TONES.values())
    counts = [[0] * len(labels) for _ in labels]
    for (wanted, got), number in pairs.items():
        if (row := _tone(wanted)) and (column := _tone(got)):
            counts[labels.index(row)][labels.index(column)] += number
    return {"labels": labels, "counts": counts}


@lru_cache(maxsize=1 << 12)
def _tone(letter: str) -> str:
    """The tone of a vowel, '' of anything else."""
    base, _, tone = decompose(letter)
    return tone if base and base.lower() in "aeiouy" else ""


def look_alikes(pairs: Counter[Pair]) -> list[dict[str, Any]]:
    """Letters and digits taken for one another, the most frequent first."""
    plain: Counter[Pair] = Counter()
    for (wanted, got), number in pairs.items():
        if wanted.isalnum() and got.isalnum() and (pair := (_plain(wanted), _plain(got))):
            plain[pair] += number
    counted = sorted((-n, pair) for pair, n in plain.items() if pair[0] != pair[1])
    return [{"wanted": a, "got": b, "count": -n} for n, (a, b) in counted[:MOST_PAIRS]]


@lru_cache(maxsize=1 << 12)
def _plain(letter: str) -> str:
    """A letter without case and tone."""
    return split_tone(letter)[0].lower()
