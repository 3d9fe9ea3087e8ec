"""Tables of where the errors are: confused tones and letters, CER by length, source and writer."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from netchu.core.text import TONES, decompose, split_tone
from netchu.evaluation.metrics.bootstrap import bootstrap_groups
from netchu.evaluation.metrics.confidence import reject_curve, reliability
from netchu.evaluation.metrics.edits import CharacterPair, align_characters, normalise_lines
from netchu.evaluation.metrics.rates import summarise
from netchu.evaluation.metrics.registry import CER

LENGTHS = ((1, 10), (11, 20), (21, 40), (41, 80), (81, None))
"""Ranges of the number of characters of a line, both ends included."""

MAX_CONFUSION_PAIRS = 30


def error_tables(
    predictions: pd.DataFrame, scored: pd.DataFrame, resamples: int, seed: int
) -> dict[str, Any]:
    """Return the tables behind the charts of the report, as they stand in `metrics.json`.

    Args:
        predictions: columns id, source, writer, text, reading, confidence.
        scored: output of `score_lines` for the same rows.
        resamples: number of bootstrap resamples.
        seed: of the resampling.

    Returns:
        - tones: counts (6, 6) over aligned vowels, see `tone_confusion`.
        - look_alikes: see `confusion_pairs`.
        - by_length, by_source, by_writer (known writers): lines, characters and CER with its 95 %
          interval.
        - reliability, reject_curve: see `confidence`.
    """
    predictions = predictions.reset_index(drop=True)
    scored = scored.reset_index(drop=True)
    texts = normalise_lines(predictions["text"].tolist(), predictions["reading"].tolist())
    pairs = Counter(pair for line in align_characters(*texts) for pair in line)

    def cer(part: pd.DataFrame) -> dict[str, Any]:
        groups = bootstrap_groups(part)
        summary = summarise(scored.loc[part.index], groups, resamples, seed, (CER,))
        return {k: summary[k] for k in ("lines", "characters", "cer", "cer_low", "cer_high")}

    def cer_by(*columns: str) -> list[dict[str, Any]]:
        known = predictions[(predictions[list(columns)] != "").all(axis=1)]
        grouped = known.groupby(list(columns), sort=True)
        return [dict(zip(columns, map(str, key), strict=True)) | cer(part) for key, part in grouped]

    confidence_L = predictions["confidence"].to_numpy(np.float64)
    return {
        "tones": tone_confusion(pairs),
        "look_alikes": confusion_pairs(pairs),
        "by_length": [
            {"from": shortest, "to": longest} | cer(predictions[selected])
            for shortest, longest in LENGTHS
            if (selected := scored["characters"].between(shortest, longest or np.inf)).any()
        ],
        "by_source": cer_by("source"),
        "by_writer": cer_by("source", "writer"),
        "reliability": reliability(confidence_L, scored["wrong"].to_numpy() == 0),
        "reject_curve": reject_curve(confidence_L, scored),
    }


def tone_confusion(pairs: Counter[CharacterPair]) -> dict[str, Any]:
    """Return the confusion matrix of tones over pairs of vowels: rows truth, columns reading."""
    labels = list(TONES.values())
    counts = [[0] * len(labels) for _ in labels]
    for (expected, actual), number in pairs.items():
        if (row := _tone(expected)) and (column := _tone(actual)):
            counts[labels.index(row)][labels.index(column)] += number
    return {"labels": labels, "counts": counts}


@lru_cache(maxsize=1 << 12)
def _tone(letter: str) -> str:
    """Return the tone of a vowel, '' for anything else."""
    base, _, tone = decompose(letter)
    return tone if base and base.lower() in "aeiouy" else ""


def confusion_pairs(pairs: Counter[CharacterPair]) -> list[dict[str, Any]]:
    """Return the most frequent confusions of letters and digits, ignoring case and tone."""
    plain: Counter[CharacterPair] = Counter()
    for (expected, actual), number in pairs.items():
        if expected.isalnum() and actual.isalnum():
            plain[_without_tone(expected), _without_tone(actual)] += number
    counted = sorted((-n, pair) for pair, n in plain.items() if pair[0] != pair[1])
    return [
        {"wanted": expected, "got": actual, "count": -n}
        for n, (expected, actual) in counted[:MAX_CONFUSION_PAIRS]
    ]


@lru_cache(maxsize=1 << 12)
def _without_tone(letter: str) -> str:
    """Return a letter in lower case and without its tone."""
    return split_tone(letter)[0].lower()
