"""Where the letters of a written word stand, and which of them stand apart.

Letters are told apart where their strokes do not overlap, and only kept where they are as wide and
as tall as such a letter is; what is left of mistakes is found by comparing all hands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netchu.core.text import decompose
from netchu.imaging.strokes import Stroke
from netchu.synthesis.stroke_pieces import Piece, crop, extent

WIDTHS = {**dict.fromkeys("iltjfrI1", 0.6), **dict.fromkeys("mwMWQG", 1.5)}
"""Widths of letters without their marks, 1 for those that are not named: enough for a guess."""
TALL = frozenset("bdđhkl0123456789")
DEEP = frozenset("gpqyj")
CELLS = 12
"""Rows and columns of the coarse picture by which letters are compared."""
UNLIKE = 0.1
"""Letters so much less like the mean of their kind (cosine) than most are dropped."""


def letter_place(text: str, place: int, width: float) -> float:
    """Where the middle of letter number `place` stands in a word of this width, by guess."""
    widths = [_width(letter) for letter in text]
    return width * (sum(widths[:place]) + widths[place] / 2) / sum(widths)


def split_letters(text: str, piece: Piece, slant: float) -> list[tuple[str, Piece]]:
    """The letters of a piece whose strokes stand apart; [] where they do not.

    Of a word whose strokes fall into other groups than its letters, the first letter may still
    stand apart from the rest (see `split_initial`).
    """
    groups = [list(piece.strokes)] if len(text) == 1 else _groups(piece, slant)
    if len(groups) == len(text):
        letters = [(letter, crop(group)) for letter, group in zip(text, groups, strict=True)]
        unit = piece.width / sum(_width(letter) for letter in text)
        fits = [
            _fits(letter, part) and 0.4 < part.width / (unit * _width(letter)) < 1.7
            for letter, part in letters
        ]
        return letters if all(fits) else []
    if (initial := split_initial(text, piece, slant)) and _fits(text[0], initial[0]):
        return [(text[0], initial[0])]
    return []


def split_initial(text: str, piece: Piece, slant: float) -> tuple[Piece, Piece] | None:
    """The first letter and the rest, where a gap stands about where that letter ends."""
    groups = _groups(piece, slant)
    if len(text) < 2 or len(groups) < 2:
        return None
    rest = [stroke for group in groups[1:] for stroke in group]
    start = min(float(stroke[:, 0].min()) for stroke in rest)
    expected = 2 * letter_place(text, 0, piece.width)
    if not 0.65 < start / max(expected, 1e-3) < 1.4:
        return None
    return crop(groups[0]), crop(rest)


def odd_ones(letters: Sequence[Piece]) -> list[bool]:
    """Which pieces, all said to be the same letter, do not look like the others."""
    if len(letters) < 4:
        return [False] * len(letters)
    pictures = np.stack([_picture(letter) for letter in letters])
    mean = pictures.mean(axis=0)
    likeness = pictures @ (mean / max(float(np.linalg.norm(mean)), 1e-6))
    floor = float(np.median(likeness)) - UNLIKE
    return [value < floor for value in likeness.tolist()]


def _picture(letter: Piece) -> NDArray[np.float32]:
    """Where the pen went, on a coarse blurred grid of one size, of length 1."""
    cells = np.zeros((CELLS + 2, CELLS + 2), np.float32)
    steps = np.linspace(0, 1, 5, dtype=np.float32)[:, None, None]
    for stroke in letter.strokes:
        points = stroke if len(stroke) == 1 else stroke[:-1] + steps * np.diff(stroke, axis=0)
        points = points.reshape(-1, 2)
        column = points[:, 0] / max(letter.width, 0.4) * CELLS
        row = (points[:, 1] + 2.4) / 3.4 * CELLS
        at = np.stack([row, column]).clip(0, CELLS - 1).astype(int) + 1
        cells[at[0], at[1]] = 1
    soft = cells.copy()
    for axis in (0, 1):
        soft = soft + 0.6 * (np.roll(soft, 1, axis) + np.roll(soft, -1, axis))
    flat = soft.ravel()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), np.float32)


def _width(letter: str) -> float:
    base = decompose(letter)[0]
    return WIDTHS.get(base, 1.3 if letter.isupper() else 1.0)


def _fits(letter: str, piece: Piece) -> bool:
    """Whether a piece is as tall and reaches as deep as such a letter does."""
    base, mark, tone = decompose(letter)
    top, bottom = extent(piece)
    above = mark in ("circumflex", "breve") or tone not in ("level", "dot")
    if letter.isupper() or base in TALL or mark == "bar":
        return top < -1.2 and -0.4 < bottom < 0.6 + (tone == "dot")
    if base in DEEP:
        return bottom > 0.25 and top > -1.7 - above
    lowest = 0.12 if tone == "dot" else -0.4
    highest = -1.1 if above or base in "it" else -0.6
    return (
        lowest < bottom < 0.5 + 0.6 * (tone == "dot")
        and -3.2 < top < highest
        and (top > -1.6 or above or base in "itj" or mark == "horn")
    )


def _groups(piece: Piece, slant: float) -> list[list[Stroke]]:
    """Strokes that overlap one another along x, once set upright; in order from left to right."""
    spans = []
    for number, stroke in enumerate(piece.strokes):
        x = stroke[:, 0] - np.float32(slant) * stroke[:, 1]
        spans.append((float(x.min()), float(x.max()), number))
    groups: list[list[int]] = []
    end = -np.inf
    for left, right, number in sorted(spans):
        if left < end - 0.08:
            groups[-1].append(number)
        else:
            groups.append([number])
        end = max(end, right)
    return [[piece.strokes[number] for number in sorted(group)] for group in groups]
