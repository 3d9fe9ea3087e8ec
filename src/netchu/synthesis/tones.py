"""Tone marks as pen strokes: find the stroke that is a word's tone, and replace it.

A tone is written as a stroke of its own, above its letter or, for the dot, below it. A stroke is
used only if it is the tone beyond doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from netchu.core.text import decompose, split_tone
from netchu.imaging.strokes import Stroke
from netchu.synthesis.letters import letter_center
from netchu.synthesis.stroke_groups import StrokeGroup, align_left


class ToneMark(NamedTuple):
    """The stroke of a tone.

    Args:
        stroke: the stroke, centred on (0, 0).
        rise: from the top of the letter up to the lower end of the mark, in x-heights; for the
            dot, from the baseline down to its centre.
    """

    stroke: Stroke
    rise: float


class FoundTone(NamedTuple):
    """A tone mark in a word: the index of its stroke, and the x of its centre."""

    stroke_index: int
    x: float
    mark: ToneMark


def find_tone(text: str, word: StrokeGroup) -> FoundTone | None:
    """Find the stroke that is the tone of a word.

    Args:
        text: what the word says.
        word: its strokes.

    Returns:
        None if the word has no tone or the stroke is in doubt.
    """
    _, tone, place = split_tone(text)
    if tone == "level" or len(word.strokes) < 2:
        return None
    expected = letter_center(text, place, word.width)
    candidates = [
        index
        for index, stroke in enumerate(word.strokes)
        if _is_placed_like(stroke, tone) and abs(_centre(stroke)[0] - expected) < 1.6
    ]
    others = _count_other_marks(text) if tone != "dot" else 0
    if not candidates or len(candidates) > 1 + others:
        return None
    # Among the marks of one letter the tone is written last; among letters the nearest counts.
    mark = decompose(text[place])[1]
    if len(candidates) > 1 and mark in ("circumflex", "breve"):
        nearest = sorted(candidates, key=lambda i: abs(_centre(word.strokes[i])[0] - expected))
        candidates = [max(nearest[:2])]
    index = min(candidates, key=lambda i: abs(_centre(word.strokes[i])[0] - expected))
    stroke = word.strokes[index]
    if not _is_shaped_like(stroke, tone):
        return None
    x, y = _centre(stroke)
    if tone == "dot":
        rise = y
    else:
        rest = [s for i, s in enumerate(word.strokes) if i != index]
        rise = _top_at(rest, x) - float(stroke[:, 1].max())
    centred = stroke - np.array([x, y], np.float32)
    return FoundTone(index, x, ToneMark(centred, float(np.clip(rise, -0.3, 1.0))))


def change_tone(old: str, word: StrokeGroup, new: str, mark: ToneMark | None) -> StrokeGroup | None:
    """Replace the tone of a word.

    Args:
        old: what the word says.
        word: its strokes.
        new: the same text with another tone.
        mark: a stroke of the new tone; None for the level tone, which has none.

    Returns:
        None if the old tone cannot be found.
    """
    _, old_tone, old_place = split_tone(old)
    _, new_tone, new_place = split_tone(new)
    strokes = list(word.strokes)
    x = letter_center(new, new_place, word.width) if new_tone != "level" else 0.0
    if old_tone != "level":
        found = find_tone(old, word)
        if found is None:
            return None
        del strokes[found.stroke_index]
        x = found.x + (x - letter_center(old, old_place, word.width))
    elif new_tone != "level" and (hat := _vowel_mark_x(new, new_place, word, x)) is not None:
        x = hat
    if new_tone == "level" or mark is None:
        return align_left(strokes) if strokes else None
    if new_tone == "dot":
        y = max(mark.rise, 0.25)
    else:
        y = _top_at(strokes, x) - mark.rise - float(mark.stroke[:, 1].max())
        y = max(y, -3.2)
    strokes.append(mark.stroke + np.array([x, y], np.float32))
    return align_left(strokes)


def _centre(stroke: Stroke) -> tuple[float, float]:
    x, y = ((stroke.min(axis=0) + stroke.max(axis=0)) / 2).tolist()
    return x, y


def _is_placed_like(stroke: Stroke, tone: str) -> bool:
    """Return whether a stroke is where the tone's mark would be, and as small."""
    width, height = np.ptp(stroke, axis=0).tolist()
    if tone == "dot":
        return float(stroke[:, 1].min()) > 0.05 and max(width, height) < 0.5
    return float(stroke[:, 1].max()) < -0.85 and width < 1.6 and height < 1.4


def _count_other_marks(text: str) -> int:
    """Return how many strokes above the letters may be something else: dots, hats, bars, horns."""
    count = 0
    for letter in text:
        base, mark, tone = decompose(letter)
        count += mark in ("circumflex", "breve", "horn", "bar")
        count += base in "tTđĐf" or (base in "ij" and tone in ("level", "dot"))
    return count


def _is_shaped_like(stroke: Stroke, tone: str) -> bool:
    """Return whether the stroke has the shape of the tone: rising, falling, a wave, a hook."""
    if tone == "dot":
        return True
    width, height = np.ptp(stroke, axis=0).tolist()
    if len(stroke) < 2 or max(width, height) < 0.15:
        return False
    if tone == "tilde":
        return width > 1.2 * height and len(stroke) > 2
    if tone == "hook":
        return height > 0.5 * width and len(stroke) > 3
    length = float(np.hypot(*np.diff(stroke, axis=0).T).sum())
    if length > 1.3 * float(np.hypot(width, height)) or height < 0.25 * width:
        return False
    low, high = stroke[stroke[:, 1].argmax()], stroke[stroke[:, 1].argmin()]
    rises_to_the_right = float(high[0] - low[0]) > 0
    return rises_to_the_right == (tone == "acute") or width < 0.1


def _vowel_mark_x(text: str, place: int, word: StrokeGroup, x: float) -> float | None:
    """Return the x next to the circumflex or breve of a letter, if exactly one stroke can be it."""
    if decompose(text[place])[1] not in ("circumflex", "breve"):
        return None
    above = [
        s for s in word.strokes if _is_placed_like(s, "acute") and abs(_centre(s)[0] - x) < 1.2
    ]
    return _centre(above[0])[0] + 0.15 if len(above) == 1 else None


def _top_at(strokes: Sequence[Stroke], x: float) -> float:
    """Return the smallest y of any stroke near x, -0.9 at most."""
    tops = [-0.9]
    for stroke in strokes:
        near = np.abs(stroke[:, 0] - x) < 0.45
        if near.any():
            tops.append(float(stroke[near, 1].min()))
        elif stroke[:, 0].min() < x < stroke[:, 0].max():
            crossing = np.flatnonzero(np.diff(np.sign(stroke[:, 0] - x)))
            tops.append(float(np.minimum(stroke[crossing, 1], stroke[crossing + 1, 1]).min()))
    return min(tops)
