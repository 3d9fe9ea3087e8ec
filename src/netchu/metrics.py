"""How wrong a reading is: edits per line, and what they amount to over many lines.

Every rate is total edits over total reference units (Levenshtein, by jiwer), never an average of
lines: CER over characters, WER over words, SER over whole lines. Truths and readings pass
`text.normalise`, so that composed and decomposed text count alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jiwer
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netchu.errors import NetchuError
from netchu.text import decompose, fold_tone_placement, loops, normalise

RATES = {
    "cer": ("edits", "characters"),
    "wer": ("word_edits", "words"),
    "ser": ("wrong", "lines"),
    "cer_folded": ("folded_edits", "characters"),
}
"""Rates with an interval -> the columns of `score` that are divided."""

SPLITS = {
    "base_errors": "base",
    "mark_errors": "mark",
    "tone_errors": "tone",
    "missing": "missing",
    "extra": "extra",
}
"""What the edits were, per reference character -> the column of `score`."""

DIGITS = 6


def score(
    truths: Sequence[str], readings: Sequence[str], looped: Callable[[str], bool] = loops
) -> pd.DataFrame:
    """Count the edits of each line; one row of integers per line, in order.

    Columns: characters, edits, words, word_edits, lines (1), wrong (0 or 1), folded_edits (tone
    placement folded), loops (0 or 1), and what the edits were: base, mark, tone (of substituted
    characters; one substitution may be several), missing and extra characters. `looped` says
    whether a reading ran into a loop; some systems know more of that than the text shows.

    Raises:
        NetchuError: nothing to score, unequal numbers, or a truth or reading that is no text.
    """
    if len(truths) != len(readings):
        raise NetchuError(f"{len(truths)} truths but {len(readings)} readings; give one for each")
    if not len(truths):
        raise NetchuError("no line to score; is the test split empty?")
    clean_truths = [_text(t, n, "truth") for n, t in enumerate(truths)]
    clean_readings = [_text(r, n, "reading") for n, r in enumerate(readings)]
    if "" in clean_truths:
        raise NetchuError(f"truth {clean_truths.index('')} is empty; give the line its text")
    rows = _letter_edits(clean_truths, clean_readings)
    rows["words"], rows["word_edits"] = _word_edits(clean_truths, clean_readings)
    rows["lines"] = [1] * len(clean_truths)
    rows["wrong"] = [int(t != r) for t, r in zip(clean_truths, clean_readings, strict=True)]
    folded = _letter_edits(
        [fold_tone_placement(t) for t in clean_truths],
        [fold_tone_placement(r) for r in clean_readings],
    )
    # Folding may move a tone off a letter that was right but for it; it must never cost.
    rows["folded_edits"] = [min(pair) for pair in zip(rows["edits"], folded["edits"], strict=True)]
    rows["loops"] = [
        int(looped(r) and not looped(t)) for t, r in zip(clean_truths, clean_readings, strict=True)
    ]
    return pd.DataFrame(rows, dtype="int64")


def _text(value: object, place: int, what: str) -> str:
    if not isinstance(value, str):
        raise NetchuError(f"{what} {place} is missing ({value!r}); an empty reading is ''")
    return normalise(value)


def _letter_edits(truths: list[str], readings: list[str]) -> dict[str, list[int]]:
    """Per line: characters, edits and the kinds of edit, from jiwer's alignment."""
    aligned = jiwer.process_characters(truths, readings)
    names = ("characters", "edits", *SPLITS.values())
    rows: dict[str, list[int]] = {name: [] for name in names}
    for truth, reading, chunks in zip(truths, readings, aligned.alignments, strict=True):
        counts = dict.fromkeys(names, 0) | {"characters": len(truth)}
        for chunk in chunks:
            if chunk.type == "delete":
                counts["missing"] += chunk.ref_end_idx - chunk.ref_start_idx
            elif chunk.type == "insert":
                counts["extra"] += chunk.hyp_end_idx - chunk.hyp_start_idx
            elif chunk.type == "substitute":
                wanted = truth[chunk.ref_start_idx : chunk.ref_end_idx]
                got = reading[chunk.hyp_start_idx : chunk.hyp_end_idx]
                counts["edits"] += len(wanted)
                for a, b in zip(wanted, got, strict=True):
                    for kind in substitution_kinds(a, b):
                        counts[kind] += 1
        counts["edits"] += counts["missing"] + counts["extra"]
        for name in names:
            rows[name].append(counts[name])
    return rows


def substitution_kinds(wanted: str, got: str) -> list[str]:
    """Which of base, mark and tone differ between two characters.

    Mark and tone are compared only between two vowels (or d and đ): where a vowel was read as a
    consonant, the letter is wrong and its tone says nothing.
    """
    (base_a, mark_a, tone_a), (base_b, mark_b, tone_b) = decompose(wanted), decompose(got)
    comparable = all(b.lower() in "aeiouy" for b in (base_a, base_b)) or (
        base_a.lower() == base_b.lower() == "d"
    )
    kinds = ["base"] if base_a != base_b else []
    if comparable:
        kinds += ["mark"] if mark_a != mark_b else []
        kinds += ["tone"] if tone_a != tone_b else []
    return kinds or ["base"]


def _word_edits(truths: list[str], readings: list[str]) -> tuple[list[int], list[int]]:
    """Words and word edits per line."""
    aligned = jiwer.process_words(truths, readings)
    edits = [
        sum(
            max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx)
            for c in chunks
            if c.type != "equal"
        )
        for chunks in aligned.alignments
    ]
    return [len(t.split()) for t in truths], edits


def summarise(
    scored: pd.DataFrame, groups: Sequence[str], resamples: int, seed: int
) -> dict[str, float | int]:
    """The rates of the lines in `scored`, each with the ends of its 95 % interval.

    `groups` names for each line what the bootstrap draws: its writer, or the line itself where
    nobody knows the hand (`bootstrap_groups`). Rates are ratios, rounded to 6 digits: cer, wer,
    ser, cer_folded with _low and _high; base_errors, mark_errors, tone_errors, missing and extra
    per reference character; loop_rate per line; and the counts lines, characters, words.

    Raises:
        NetchuError: no line, or a count that is not a number.
    """
    if scored.empty:
        raise NetchuError("no line to summarise; is the test split empty?")
    if holes := [str(name) for name in scored.columns[scored.isna().any()]]:
        raise NetchuError(f"{', '.join(holes)}: not a number in a line's score; score it again")
    totals = scored.sum()
    result: dict[str, float | int] = {
        name: int(totals[name]) for name in ("lines", "characters", "words")
    }
    weights_RG, sums = _resample(scored, groups, resamples, seed)
    for rate, (edits, units) in RATES.items():
        result[rate] = _round(totals[edits] / totals[units])
        drawn_R = (weights_RG @ sums[edits]) / (weights_RG @ sums[units])
        low, high = np.quantile(drawn_R, (0.025, 0.975))
        result[f"{rate}_low"], result[f"{rate}_high"] = _round(low), _round(high)
    for name, column in SPLITS.items():
        result[name] = _round(totals[column] / totals["characters"])
    result["loop_rate"] = _round(totals["loops"] / totals["lines"])
    return result


def _resample(
    scored: pd.DataFrame, groups: Sequence[str], resamples: int, seed: int
) -> tuple[NDArray[np.float64], Mapping[str, NDArray[np.float64]]]:
    """How often each draw takes each group (R, G), and each group's sums by column (G)."""
    summed = scored.groupby(np.asarray(groups, dtype=object), sort=True).sum()
    number = len(summed)
    rng = np.random.default_rng(seed)
    weights_RG = rng.multinomial(number, np.full(number, 1 / number), size=resamples)
    return weights_RG.astype(np.float64), {
        str(name): summed[name].to_numpy(np.float64) for name in summed.columns
    }


def bootstrap_groups(lines: pd.DataFrame) -> list[str]:
    """What the bootstrap draws for each of `lines` (columns id, source, writer).

    Lines of one hand err alike, so writers are drawn where they are known; a line of an unknown
    writer, and every line where there is only one writer, stands for itself.
    """
    single = [f"line {source} {i}" for source, i in zip(lines["source"], lines["id"], strict=True)]
    writers = [
        f"writer {source} {writer}" if writer else alone
        for source, writer, alone in zip(lines["source"], lines["writer"], single, strict=True)
    ]
    return writers if len(set(writers)) > 1 else single


def _round(value: Any) -> float:
    return round(float(value), DIGITS)
