"""The edits of each line, and what was wrong with each character."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import jiwer
import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.text import decompose, ends_in_loop, fold_tone_placement, normalise

CLASSES = ("base", "mark", "tone", "case", "digit", "space", "punctuation")
"""What can be wrong with a character; `blame` says which."""

Pair = tuple[str, str]
"""A character of the truth and what was read for it; "" where it is missing or extra."""


def score(
    truths: Sequence[str], readings: Sequence[str], looped: Callable[[str], bool] = ends_in_loop
) -> pd.DataFrame:
    """Count the edits of each line; one row per line, in order.

    Integers: characters, edits, words, word_edits, lines (1), wrong (0 or 1); folded_edits,
    folded_word_edits, folded_wrong (the same with tone placement folded); missing and extra
    characters; loops (0 or 1): the reading runs into a loop and the truth does not. `looped` says
    whether a text does; some systems know more of that than the text shows. Floats: kalapa
    (`kalapa_score`) and, for each of CLASSES, the edits that fall to it; these add up to edits.

    Raises:
        NetchuError: nothing to score, unequal numbers, or a truth or reading that is no text.
    """
    truths, readings = clean(truths, readings)
    folded_truths = [fold_tone_placement(truth) for truth in truths]
    folded_readings = [fold_tone_placement(reading) for reading in readings]
    rows = pd.DataFrame([_line_edits(pairs) for pairs in align(truths, readings)])
    rows["words"] = [len(truth.split()) for truth in truths]
    rows["word_edits"] = _word_edits(truths, readings)
    rows["lines"] = 1
    rows["wrong"] = [int(t != r) for t, r in zip(truths, readings, strict=True)]
    folded = [len(_edits(pairs)) for pairs in align(folded_truths, folded_readings)]
    # Folding may move a tone off a letter that was right but for it; it must never cost.
    rows["folded_edits"] = rows["edits"].clip(upper=pd.Series(folded))
    folded_words = pd.Series(_word_edits(folded_truths, folded_readings))
    rows["folded_word_edits"] = rows["word_edits"].clip(upper=folded_words)
    rows["folded_wrong"] = [
        int(t != r) for t, r in zip(folded_truths, folded_readings, strict=True)
    ]
    rows["kalapa"] = [
        kalapa_score(int(d), int(n)) for d, n in zip(rows["edits"], rows["characters"], strict=True)
    ]
    rows["loops"] = [
        int(looped(r) and not looped(t)) for t, r in zip(truths, readings, strict=True)
    ]
    return rows


def clean(truths: Sequence[str], readings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both in NFC, one reading for each truth and no truth empty.

    Raises:
        NetchuError: they are not so, or one is no text.
    """
    if len(truths) != len(readings):
        raise NetchuError(f"{len(truths)} truths but {len(readings)} readings; give one for each")
    if not len(truths):
        raise NetchuError("no line to score; is the test split empty?")
    clean_truths = [_text(t, n, "truth") for n, t in enumerate(truths)]
    clean_readings = [_text(r, n, "reading") for n, r in enumerate(readings)]
    if "" in clean_truths:
        raise NetchuError(f"truth {clean_truths.index('')} is empty; give the line its text")
    return clean_truths, clean_readings


def _text(value: object, place: int, what: str) -> str:
    if not isinstance(value, str):
        raise NetchuError(f"{what} {place} is missing ({value!r}); an empty reading is ''")
    return normalise(value)


def align(truths: list[str], readings: list[str]) -> Iterator[list[Pair]]:
    """The pairs of each line's best alignment, right ones included, in order."""
    aligned = jiwer.process_characters(truths, readings)
    for truth, reading, chunks in zip(truths, readings, aligned.alignments, strict=True):
        pairs: list[Pair] = []
        for chunk in chunks:
            wanted = truth[chunk.ref_start_idx : chunk.ref_end_idx]
            got = reading[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "delete":
                pairs += [(letter, "") for letter in wanted]
            elif chunk.type == "insert":
                pairs += [("", letter) for letter in got]
            else:
                pairs += zip(wanted, got, strict=True)
        yield pairs


def _edits(pairs: list[Pair]) -> list[Pair]:
    return [(wanted, got) for wanted, got in pairs if wanted != got]


def _line_edits(pairs: list[Pair]) -> dict[str, float | int]:
    """Characters, edits and what they were, of one line."""
    edits = _edits(pairs)
    counts: dict[str, float | int] = dict.fromkeys(CLASSES, 0.0)
    for edit in edits:
        wrong = blame(*edit)
        for name in wrong:
            counts[name] += 1 / len(wrong)
    return counts | {
        "characters": sum(bool(wanted) for wanted, _ in pairs),
        "edits": len(edits),
        "missing": sum(not got for _, got in edits),
        "extra": sum(not wanted for wanted, _ in edits),
    }


@lru_cache(maxsize=1 << 16)
def blame(wanted: str, got: str) -> tuple[str, ...]:
    """What is wrong where `got` was read for `wanted`; the edit is shared equally among it.

    A missing character is of its own kind, an extra one likewise: digit, space, punctuation, or
    base for a letter. So is a digit, space or sign read as something else, and a letter read as
    no letter is base. Between two letters all that differs counts: base (the letter without case
    and marks), case and, between two vowels or d and đ, mark (â ă ê ô ơ ư đ) and tone. Where a
    vowel was read as a consonant, mark and tone say nothing.
    """
    kind = _kind(wanted or got)
    if kind != "base" or not (wanted and got) or _kind(got) != "base":
        return (kind,)
    (base_a, mark_a, tone_a), (base_b, mark_b, tone_b) = decompose(wanted), decompose(got)
    small = base_a.lower(), base_b.lower()
    comparable = all(base in "aeiouy" for base in small) or small == ("d", "d")
    differs = {
        "base": small[0] != small[1],
        "mark": comparable and mark_a != mark_b,
        "tone": comparable and tone_a != tone_b,
        "case": base_a.isupper() != base_b.isupper(),
    }
    return tuple(name for name, wrong in differs.items() if wrong) or ("base",)


def _kind(letter: str) -> str:
    if letter.isdecimal():
        return "digit"
    if letter.isspace():
        return "space"
    return "base" if letter.isalpha() else "punctuation"


def kalapa_score(edits: int, characters: int) -> float:
    """The score of a line in the Kalapa challenge: 1 if exact, else max(0, 1 − 1.5^d / n)."""
    # 1.5^100 exceeds any length; beyond, the power would overflow.
    return 1.0 if not edits else max(0.0, 1 - 1.5 ** min(edits, 100) / characters)


def _word_edits(truths: list[str], readings: list[str]) -> list[int]:
    """Word edits per line."""
    return [
        sum(
            max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx)
            for c in chunks
            if c.type != "equal"
        )
        for chunks in jiwer.process_words(truths, readings).alignments
    ]
