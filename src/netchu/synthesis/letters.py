"""Find the letters of a handwritten word, and the ones that are drawn separately.

Letters are separated where their strokes do not overlap, and kept only where they are as wide and
as tall as such a letter should be. The mistakes that remain are found as outliers among the
samples of all writers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netchu.core.text import decompose
from netchu.imaging.strokes import Stroke
from netchu.synthesis.stroke_groups import StrokeGroup, align_left, vertical_extent

WIDTHS = {**dict.fromkeys("iltjfrI1", 0.6), **dict.fromkeys("mwMWQG", 1.5)}
"""Rough widths of base letters; 1 for small letters and 1.3 for capitals that are not listed."""

ASCENDING = frozenset("bdđhkl0123456789")
DESCENDING = frozenset("gpqyj")

RASTER_SIZE = 12
"""Rows and columns of the coarse raster on which letters are compared."""

OUTLIER_MARGIN = 0.1
"""Cosine similarity to the mean, below the median, from which a letter is an outlier."""


def letter_center(text: str, index: int, width: float) -> float:
    """Estimate the x of the middle of letter `index` in a word of this width."""
    widths = [_width(letter) for letter in text]
    return width * (sum(widths[:index]) + widths[index] / 2) / sum(widths)


def split_letters(text: str, word: StrokeGroup, slant: float) -> list[tuple[str, StrokeGroup]]:
    """Return the letters of a word whose strokes are separate.

    Where the strokes do not form as many groups as the word has letters, that is only its first
    letter, if `split_initial` finds it, or nothing.

    Args:
        text: what the word says.
        word: its strokes.
        slant: x per y of the writer's upright strokes.
    """
    groups = [list(word.strokes)] if len(text) == 1 else _separate_strokes(word, slant)
    if len(groups) == len(text):
        letters = [(letter, align_left(group)) for letter, group in zip(text, groups, strict=True)]
        unit = word.width / sum(_width(letter) for letter in text)
        fits = [
            _is_plausible(letter, group) and 0.4 < group.width / (unit * _width(letter)) < 1.7
            for letter, group in letters
        ]
        return letters if all(fits) else []
    if (initial := split_initial(text, word, slant)) and _is_plausible(text[0], initial[0]):
        return [(text[0], initial[0])]
    return []


def split_initial(
    text: str, word: StrokeGroup, slant: float
) -> tuple[StrokeGroup, StrokeGroup] | None:
    """Return the first letter and the rest; None if there is no gap about where the letter ends."""
    groups = _separate_strokes(word, slant)
    if len(text) < 2 or len(groups) < 2:
        return None
    rest = [stroke for group in groups[1:] for stroke in group]
    start = min(float(stroke[:, 0].min()) for stroke in rest)
    expected = 2 * letter_center(text, 0, word.width)
    if not 0.65 < start / max(expected, 1e-3) < 1.4:
        return None
    return align_left(groups[0]), align_left(rest)


def find_outliers(letters: Sequence[StrokeGroup]) -> list[bool]:
    """Return which samples, all labelled as the same letter, do not look like the others.

    With fewer than four samples none is an outlier.
    """
    if len(letters) < 4:
        return [False] * len(letters)
    rasters = np.stack([_rasterise(letter) for letter in letters])
    mean = rasters.mean(axis=0)
    similarity = rasters @ (mean / max(float(np.linalg.norm(mean)), 1e-6))
    threshold = float(np.median(similarity)) - OUTLIER_MARGIN
    return [value < threshold for value in similarity.tolist()]


def _rasterise(letter: StrokeGroup) -> NDArray[np.float32]:
    """Return the strokes on a coarse blurred raster, as a vector of length 1."""
    cells = np.zeros((RASTER_SIZE + 2, RASTER_SIZE + 2), np.float32)
    steps = np.linspace(0, 1, 5, dtype=np.float32)[:, None, None]
    for stroke in letter.strokes:
        points = stroke if len(stroke) == 1 else stroke[:-1] + steps * np.diff(stroke, axis=0)
        points = points.reshape(-1, 2)
        column = points[:, 0] / max(letter.width, 0.4) * RASTER_SIZE
        row = (points[:, 1] + 2.4) / 3.4 * RASTER_SIZE
        at = np.stack([row, column]).clip(0, RASTER_SIZE - 1).astype(int) + 1
        cells[at[0], at[1]] = 1
    blurred = cells.copy()
    for axis in (0, 1):
        blurred = blurred + 0.6 * (np.roll(blurred, 1, axis) + np.roll(blurred, -1, axis))
    flat = blurred.ravel()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), np.float32)


def _width(letter: str) -> float:
    base = decompose(letter)[0]
    return WIDTHS.get(base, 1.3 if letter.isupper() else 1.0)


def _is_plausible(letter: str, group: StrokeGroup) -> bool:
    """Return whether strokes reach as high and as deep as the letter should."""
    base, mark, tone = decompose(letter)
    top, bottom = vertical_extent(group)
    above = mark in ("circumflex", "breve") or tone not in ("level", "dot")
    if letter.isupper() or base in ASCENDING or mark == "bar":
        return top < -1.2 and -0.4 < bottom < 0.6 + (tone == "dot")
    if base in DESCENDING:
        return bottom > 0.25 and top > -1.7 - above
    lowest = 0.12 if tone == "dot" else -0.4
    highest = -1.1 if above or base in "it" else -0.6
    return (
        lowest < bottom < 0.5 + 0.6 * (tone == "dot")
        and -3.2 < top < highest
        and (top > -1.6 or above or base in "itj" or mark == "horn")
    )


def _separate_strokes(word: StrokeGroup, slant: float) -> list[list[Stroke]]:
    """Group the strokes that overlap along x once the slant is removed, from left to right."""
    spans = []
    for number, stroke in enumerate(word.strokes):
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
    return [[word.strokes[number] for number in sorted(group)] for group in groups]
