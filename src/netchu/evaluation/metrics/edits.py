"""Character and word edits of each line, and what each character edit consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import jiwer
import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.text import decompose, ends_in_loop, fold_tone_placement, normalise

ERROR_CLASSES = ("base", "mark", "tone", "case", "digit", "space", "punctuation")
"""What can be wrong with a character, see `classify_edit`."""

CharacterPair = tuple[str, str]
"""A character of the truth and the aligned one of the reading; '' for an insertion or deletion."""


def score_lines(
    truths: Sequence[str], readings: Sequence[str], is_loop: Callable[[str], bool] = ends_in_loop
) -> pd.DataFrame:
    """Count the edits of each line (Levenshtein distance, by jiwer).

    Columns of the result, one row a line:

    - characters, words, lines: reference units; lines is always 1.
    - edits, word_edits, wrong: edits of characters and words; 1 if the line has any edit.
    - folded_edits, folded_word_edits, folded_wrong: the same with tone placement folded.
    - missing, extra: characters deleted and inserted.
    - each of ERROR_CLASSES: edits of this class; they add up to edits (floats).
    - kalapa: see `kalapa_score` (float).
    - loops: 1 if the reading ends in a loop and the truth does not.

    Args:
        truths: reference texts, none empty.
        readings: recognised texts, one for each truth.
        is_loop: whether a text ends in a loop; a system may know more than the text shows.

    Raises:
        NetchuError: no line, unequal numbers, an empty truth, or a value that is not a string.
    """
    truths, readings = normalise_lines(truths, readings)
    folded_truths = [fold_tone_placement(truth) for truth in truths]
    folded_readings = [fold_tone_placement(reading) for reading in readings]
    rows = pd.DataFrame([_count_edits(pairs) for pairs in align_characters(truths, readings)])
    rows["words"] = [len(truth.split()) for truth in truths]
    rows["word_edits"] = _word_edits(truths, readings)
    rows["lines"] = 1
    rows["wrong"] = [int(t != r) for t, r in zip(truths, readings, strict=True)]
    folded = [len(_edits(pairs)) for pairs in align_characters(folded_truths, folded_readings)]
    # Folding can move a tone off a letter that is right otherwise; it must never add edits.
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
        int(is_loop(r) and not is_loop(t)) for t, r in zip(truths, readings, strict=True)
    ]
    return rows


def normalise_lines(truths: Sequence[str], readings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return both in NFC, after checking that there is one reading for each truth.

    Raises:
        NetchuError: no line, unequal numbers, an empty truth, or a value that is not a string.
    """
    if len(truths) != len(readings):
        raise NetchuError(f"{len(truths)} truths but {len(readings)} readings; give one for each")
    if not len(truths):
        raise NetchuError("no line to score; is the test split empty?")
    normal_truths = [_normalise(t, n, "truth") for n, t in enumerate(truths)]
    normal_readings = [_normalise(r, n, "reading") for n, r in enumerate(readings)]
    if "" in normal_truths:
        raise NetchuError(f"truth {normal_truths.index('')} is empty; give the line its text")
    return normal_truths, normal_readings


def _normalise(value: object, index: int, what: str) -> str:
    if not isinstance(value, str):
        raise NetchuError(f"{what} {index} is missing ({value!r}); an empty reading is ''")
    return normalise(value)


def align_characters(truths: list[str], readings: list[str]) -> Iterator[list[CharacterPair]]:
    """Yield the character pairs of each line's best alignment, equal ones included, in order."""
    aligned = jiwer.process_characters(truths, readings)
    for truth, reading, chunks in zip(truths, readings, aligned.alignments, strict=True):
        pairs: list[CharacterPair] = []
        for chunk in chunks:
            expected = truth[chunk.ref_start_idx : chunk.ref_end_idx]
            actual = reading[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "delete":
                pairs += [(letter, "") for letter in expected]
            elif chunk.type == "insert":
                pairs += [("", letter) for letter in actual]
            else:
                pairs += zip(expected, actual, strict=True)
        yield pairs


def _edits(pairs: list[CharacterPair]) -> list[CharacterPair]:
    return [(expected, actual) for expected, actual in pairs if expected != actual]


def _count_edits(pairs: list[CharacterPair]) -> dict[str, float | int]:
    """Count characters and edits of one line, in total, by operation and by class."""
    edits = _edits(pairs)
    counts: dict[str, float | int] = dict.fromkeys(ERROR_CLASSES, 0.0)
    for edit in edits:
        classes = classify_edit(*edit)
        for name in classes:
            counts[name] += 1 / len(classes)
    return counts | {
        "characters": sum(bool(expected) for expected, _ in pairs),
        "edits": len(edits),
        "missing": sum(not actual for _, actual in edits),
        "extra": sum(not expected for expected, _ in edits),
    }


@lru_cache(maxsize=1 << 16)
def classify_edit(expected: str, actual: str) -> tuple[str, ...]:
    """Return the classes of an edit; it counts in equal parts for each of them.

    A deleted or inserted character has its own class: digit, space, punctuation, or base for a
    letter. So has a digit, space or punctuation mark that is read as something else; a letter read
    as something that is not a letter is base. Between two letters, each difference is a class: base
    (the letter without case and marks), case and, between two vowels or between d and đ, mark
    (â ă ê ô ơ ư đ) and tone. Where a vowel is read as a consonant, mark and tone do not count.
    """
    character_class = _character_class(expected or actual)
    if character_class != "base" or not (expected and actual) or _character_class(actual) != "base":
        return (character_class,)
    (base_a, mark_a, tone_a), (base_b, mark_b, tone_b) = decompose(expected), decompose(actual)
    lower = base_a.lower(), base_b.lower()
    comparable = all(base in "aeiouy" for base in lower) or lower == ("d", "d")
    differs = {
        "base": lower[0] != lower[1],
        "mark": comparable and mark_a != mark_b,
        "tone": comparable and tone_a != tone_b,
        "case": base_a.isupper() != base_b.isupper(),
    }
    return tuple(name for name, wrong in differs.items() if wrong) or ("base",)


def _character_class(letter: str) -> str:
    if letter.isdecimal():
        return "digit"
    if letter.isspace():
        return "space"
    return "base" if letter.isalpha() else "punctuation"


def kalapa_score(edits: int, characters: int) -> float:
    """Return the score of a line in the Kalapa challenge 2023.

    1 for an exact reading, otherwise max(0, 1 − 1.5^edits / characters).
    """
    # 1.5^100 exceeds the length of any line; larger powers would overflow.
    return 1.0 if not edits else max(0.0, 1 - 1.5 ** min(edits, 100) / characters)


def _word_edits(truths: list[str], readings: list[str]) -> list[int]:
    """Count the word edits of each line."""
    return [
        sum(
            max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx)
            for c in chunks
            if c.type != "equal"
        )
        for chunks in jiwer.process_words(truths, readings).alignments
    ]
