"""Tones as pen strokes: which stroke of a word is its tone, and how to give it another.

Tones are written as strokes of their own, above the letter or, the dot, below it. Only where a
stroke is the tone beyond doubt is it taken; everything else is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from netchu.core.text import decompose, split_tone
from netchu.imaging.strokes import Stroke
from netchu.synthesis.letters import letter_place
from netchu.synthesis.stroke_pieces import Piece, crop


class Mark(NamedTuple):
    """A tone's stroke: its middle at (0, 0), and where that was.

    rise: from the top of the letter below to the foot of the mark, in x-heights; for the dot, from
    the baseline down to its middle.
    """

    stroke: Stroke
    rise: float


class Found(NamedTuple):
    """Stroke number `number` of a piece is its tone; x: of its middle."""

    number: int
    x: float
    mark: Mark


def find_tone(text: str, piece: Piece) -> Found | None:
    """The tone's stroke in a piece that says `text`; None where it has none or it is in doubt."""
    _, tone, place = split_tone(text)
    if tone == "level" or len(piece.strokes) < 2:
        return None
    wanted = letter_place(text, place, piece.width)
    near = [
        index
        for index, stroke in enumerate(piece.strokes)
        if _floats(stroke, tone) and abs(_middle(stroke)[0] - wanted) < 1.6
    ]
    others = _floating_marks(text) if tone != "dot" else 0
    if not near or len(near) > 1 + others:
        return None
    # Marks of one letter: the tone comes last. Of several letters: the nearest one is meant.
    mark = decompose(text[place])[1]
    if len(near) > 1 and mark in ("circumflex", "breve"):
        near = sorted(near, key=lambda i: abs(_middle(piece.strokes[i])[0] - wanted))[:2]
        near = [max(near)]
    index = min(near, key=lambda i: abs(_middle(piece.strokes[i])[0] - wanted))
    stroke = piece.strokes[index]
    if not _looks_like(stroke, tone):
        return None
    x, y = _middle(stroke)
    if tone == "dot":
        rise = y
    else:
        rest = [s for i, s in enumerate(piece.strokes) if i != index]
        rise = _top_at(rest, x) - float(stroke[:, 1].max())
    centred = stroke - np.array([x, y], np.float32)
    return Found(index, x, Mark(centred, float(np.clip(rise, -0.3, 1.0))))


def change_tone(old: str, piece: Piece, new: str, mark: Mark | None) -> Piece | None:
    """The piece, which says `old`, with the tone of `new`, of which `mark` is a stroke.

    Both texts are the same but for the tone. None where the old tone cannot be told apart.
    """
    _, old_tone, old_place = split_tone(old)
    _, new_tone, new_place = split_tone(new)
    strokes = list(piece.strokes)
    x = letter_place(new, new_place, piece.width) if new_tone != "level" else 0.0
    if old_tone != "level":
        found = find_tone(old, piece)
        if found is None:
            return None
        del strokes[found.number]
        x = found.x + (x - letter_place(old, old_place, piece.width))
    elif new_tone != "level" and (hat := _hat(new, new_place, piece, x)) is not None:
        x = hat
    if new_tone == "level" or mark is None:
        return crop(strokes) if strokes else None
    if new_tone == "dot":
        y = max(mark.rise, 0.25)
    else:
        y = _top_at(strokes, x) - mark.rise - float(mark.stroke[:, 1].max())
        y = max(y, -3.2)
    strokes.append(mark.stroke + np.array([x, y], np.float32))
    return crop(strokes)


def _middle(stroke: Stroke) -> tuple[float, float]:
    x, y = ((stroke.min(axis=0) + stroke.max(axis=0)) / 2).tolist()
    return x, y


def _floats(stroke: Stroke, tone: str) -> bool:
    """Whether a stroke stands where the tone's kind of mark does, and is as small."""
    width, height = np.ptp(stroke, axis=0).tolist()
    if tone == "dot":
        return float(stroke[:, 1].min()) > 0.05 and max(width, height) < 0.5
    return float(stroke[:, 1].max()) < -0.85 and width < 1.6 and height < 1.4


def _floating_marks(text: str) -> int:
    """How many other strokes of a word may float above its letters: dots, hats, bars, horns."""
    count = 0
    for letter in text:
        base, mark, tone = decompose(letter)
        count += mark in ("circumflex", "breve", "horn", "bar")
        count += base in "tTđĐf" or (base in "ij" and tone in ("level", "dot"))
    return count


def _looks_like(stroke: Stroke, tone: str) -> bool:
    """Whether the shape is that of the tone: a rising line, a falling one, a wave, a hook."""
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


def _hat(text: str, place: int, piece: Piece, x: float) -> float | None:
    """Where the circumflex or breve of letter `place` stands, if one stroke must be it."""
    if decompose(text[place])[1] not in ("circumflex", "breve"):
        return None
    above = [s for s in piece.strokes if _floats(s, "acute") and abs(_middle(s)[0] - x) < 1.2]
    return _middle(above[0])[0] + 0.15 if len(above) == 1 else None


def _top_at(strokes: Sequence[Stroke], x: float) -> float:
    """The smallest y of any stroke near x; an x-height above the baseline where there is none."""
    tops = [-0.9]
    for stroke in strokes:
        near = np.abs(stroke[:, 0] - x) < 0.45
        if near.any():
            tops.append(float(stroke[near, 1].min()))
        elif stroke[:, 0].min() < x < stroke[:, 0].max():
            crossing = np.flatnonzero(np.diff(np.sign(stroke[:, 0] - x)))
            tops.append(float(np.minimum(stroke[crossing, 1], stroke[crossing + 1, 1]).min()))
    return min(tops)
