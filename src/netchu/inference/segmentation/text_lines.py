"""Finding text lines: letters blurred along the writing direction form ridges, and ridges that
continue one another form a line.

All of it happens on a small map on which letters are `UNIT` pixels high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

FloatMap = NDArray[np.float32]
Labels = NDArray[np.int32]
"""HW: number of the component, ridge or line at each pixel; 0 is paper."""

UNIT = 12
"""Height of letters on the small map, in pixels."""
MIN_STRENGTH = 0.25
"""Ridges weaker than this fraction of the strongest are ignored."""
MAX_MISS = 0.6
"""Letter heights by which one ridge may miss the end of another that it continues."""
MAX_OVERLAP = 2
"""Letter heights by which they may overlap: blurring makes ridges longer than their letters."""
MIN_DISTANCE = 0.7
"""Letter heights within which a weaker line is the ascenders or descenders of a stronger one."""
MIN_DISTANCE_THIN = 1.6
"""The same for lines with less ink per column than `THIN` of the stronger one's."""
THIN = 0.4
MIN_BESIDE = 0.5
"""Such a line lies with at least this fraction of its length between the ends of the stronger one;
else it may be the end of that line, which drops."""
MAX_ROW_OFFSET = 0.8
"""Letter heights between the middles of two lines that are side by side on one row."""
MAX_RIDGES = 500
"""Ridges that are used, the heaviest: textured paper has thousands."""
GUTTER = 3
"""Letter heights of paper between two columns of text."""
MIN_COLUMN_LINES = 3
"""Lines of the shortest column."""
MIN_COLUMN_WIDTH = 2
"""Width of the narrowest column over that of the gutter beside it. Where more of a row is paper, it
is that of a table or a form, and read from left to right."""


@dataclass(frozen=True)
class TextLines:
    """The lines of a page, numbered from 1 in reading order.

    Attributes:
        labels_HW: number of the line whose letters have their middle at a pixel.
        centres_NW: row of each line's middle at every column of the page.
        density_N: ink of each line per column.
    """

    labels_HW: Labels
    centres_NW: FloatMap
    density_N: FloatMap


@dataclass(frozen=True)
class _RidgeChain:
    """One ridge, or several that continue one another.

    Attributes:
        members: labels of the ridges.
        mass_W: ink in each column.
        moment_W: sum of the rows of that ink.
    """

    members: tuple[int, ...]
    mass_W: FloatMap
    moment_W: FloatMap

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.mass_W)

    @property
    def left(self) -> int:
        return int(self.columns[0])

    @property
    def right(self) -> int:
        return int(self.columns[-1])

    @cached_property
    def weight(self) -> float:
        return float(self.mass_W.sum())

    @property
    def density(self) -> float:
        """Ink per column that has any."""
        return self.weight / len(self.columns)

    @cached_property
    def slope(self) -> float:
        """Least-squares slope, shrunk towards 0 for short chains."""
        mass = self.mass_W[self.columns]
        x = self.columns - np.average(self.columns, weights=mass)
        y = self.moment_W[self.columns] / mass
        spread = float((mass * x * x).sum()) + self.weight * (3 * UNIT) ** 2
        return float((mass * x * y).sum()) / spread

    def middle(self, left: int, right: int) -> float:
        """Return the mean row of the ink between two columns."""
        return float(self.moment_W[left:right].sum() / self.mass_W[left:right].sum())

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Row at the left and at the right end."""
        near = min(2 * UNIT, len(self.columns))
        head, tail = self.columns[:near], self.columns[-near:]
        return (
            self.middle(head[0], head[-1] + 1) - self.slope * near / 2,
            self.middle(tail[0], tail[-1] + 1) + self.slope * near / 2,
        )

    @cached_property
    def centres(self) -> FloatMap:
        """Row at every column, interpolated in gaps and extrapolated beyond the ends."""
        all_columns = np.arange(len(self.mass_W))
        between = np.interp(
            all_columns, self.columns, self.moment_W[self.columns] / self.mass_W[self.columns]
        )
        before = self.ends[0] + self.slope * (all_columns - self.left)
        after = self.ends[1] + self.slope * (all_columns - self.right)
        centre = np.where(
            all_columns < self.left, before, np.where(all_columns > self.right, after, between)
        )
        return np.asarray(centre, np.float32)

    def join(self, other: _RidgeChain) -> _RidgeChain:
        return _RidgeChain(
            self.members + other.members,
            self.mass_W + other.mass_W,
            self.moment_W + other.moment_W,
        )


def find_text_lines(letters_HW: NDArray[np.uint8], letter_height: float) -> TextLines:
    """Return the lines of a page.

    Args:
        letters_HW: mask (255 is ink) of level writing without its marks.
        letter_height: in pixels.
    """
    height, width = letters_HW.shape
    scale = UNIT / letter_height
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(letters_HW, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    labels, ridges = _find_ridges(small)
    lines = _in_reading_order(ridges)
    numbers = np.zeros(int(labels.max()) + 1, np.int32)
    for number, line in enumerate(lines, 1):
        numbers[list(line.members)] = number
    renumbered = cv2.resize(numbers[labels], (width, height), interpolation=cv2.INTER_NEAREST)
    centres = np.zeros((len(lines), width), np.float32)
    columns = (np.arange(width) + 0.5) * size[0] / width - 0.5
    for i, line in enumerate(lines):
        middle = np.interp(columns, np.arange(size[0]), line.centres)
        centres[i] = (middle + 0.5) * height / size[1] - 0.5
    density = np.array([line.density for line in lines], np.float32)
    return TextLines(np.asarray(renumbered, np.int32), centres, density)


def _find_ridges(small_HW: FloatMap) -> tuple[Labels, list[_RidgeChain]]:
    """Return the labels of ridges, where blurred ink is denser than above and below, and each."""
    blurred = cv2.GaussianBlur(small_HW, (0, 0), sigmaX=1.2 * UNIT, sigmaY=0.2 * UNIT)
    around = cv2.GaussianBlur(blurred, (1, 0), sigmaX=0.01, sigmaY=0.7 * UNIT)
    ridge = np.asarray(blurred - around, np.float32)
    positive = ridge[ridge > 0]
    ridge[ridge < MIN_STRENGTH * float(np.percentile(positive, 90) if positive.size else 1.0)] = 0
    count, found = cv2.connectedComponents((ridge > 0).astype(np.uint8), connectivity=8)
    labels, width = np.asarray(found, np.int32), small_HW.shape[1]
    y, x = np.nonzero(ridge)
    owner, mass = labels[y, x], ridge[y, x]
    heaviest = np.sort(np.argsort(np.bincount(owner, mass, count)[1:])[-MAX_RIDGES:] + 1)
    slot = np.zeros(count, np.int64)
    slot[heaviest] = np.arange(1, len(heaviest) + 1)
    index, size = slot[owner] * width + x, (len(heaviest) + 1) * width
    masses, moments = (
        np.bincount(index, values, size).reshape(-1, width).astype(np.float32)
        for values in (mass, mass * y)
    )
    ridges = [_RidgeChain((n,), masses[slot[n]], moments[slot[n]]) for n in heaviest.tolist()]
    return labels, ridges


def _in_reading_order(ridges: list[_RidgeChain]) -> list[_RidgeChain]:
    """Chain ridges to lines, from top to bottom, and column by column if gutters separate them."""
    split = _split_columns(ridges)
    columns = [_chain_lines(column) for column in split] if _are_wide(split) else []
    if min(map(len, columns), default=0) < MIN_COLUMN_LINES:
        return _chain_lines(ridges)
    return [line for column in columns for line in column]


def _are_wide(columns: Sequence[Sequence[_RidgeChain]]) -> bool:
    """Return whether columns are text: at least `MIN_COLUMN_WIDTH` times as wide as gutters."""
    lefts = [min(ridge.left for ridge in column) for column in columns]
    rights = [max(ridge.right for ridge in column) for column in columns]
    gutters = [left - right for left, right in zip(lefts[1:], rights[:-1], strict=True)]
    narrowest = min((r - left for left, r in zip(lefts, rights, strict=True)), default=0)
    return narrowest >= MIN_COLUMN_WIDTH * max(gutters, default=0)


def _split_columns(ridges: Sequence[_RidgeChain]) -> list[list[_RidgeChain]]:
    """Split ridges where a strip of paper runs down the whole page."""
    columns: list[list[_RidgeChain]] = []
    reached = -math.inf
    for ridge in sorted(ridges, key=lambda r: r.left):
        if ridge.left - reached > GUTTER * UNIT:
            columns.append([])
        columns[-1].append(ridge)
        reached = max(reached, ridge.right)
    return columns


def _chain_lines(ridges: list[_RidgeChain]) -> list[_RidgeChain]:
    return _row_by_row(_drop_duplicates(_chain(ridges)))


def _row_by_row(lines: list[_RidgeChain]) -> list[_RidgeChain]:
    """Order lines from top to bottom, and those on one row from left to right."""
    rows: list[list[_RidgeChain]] = []
    for line in sorted(lines, key=lambda line: line.moment_W.sum() / line.weight):
        if rows and all(_on_one_row(line, other) for other in rows[-1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.left)]


def _on_one_row(line: _RidgeChain, other: _RidgeChain) -> bool:
    first, second = sorted((line, other), key=lambda line: line.left)
    between = (first.right + second.left) // 2
    offset = abs(float(first.centres[between] - second.centres[between]))
    return first.right < second.left and offset < MAX_ROW_OFFSET * UNIT


def _chain(ridges: list[_RidgeChain]) -> list[_RidgeChain]:
    """Join ridges that continue one another, the best fit first."""
    left, right = (np.array([getattr(r, end) for r in ridges]) for end in ("left", "right"))
    begins, ends = np.array([r.ends for r in ridges]).reshape(-1, 2).T
    slope, weight = (np.array([getattr(r, name) for r in ridges]) for name in ("slope", "weight"))
    gap = left[None] - right[:, None]
    both = (slope * weight)[None] + (slope * weight)[:, None]
    miss = np.abs(ends[:, None] + gap * both / (weight[None] + weight[:, None]) - begins[None])
    fits = (miss < MAX_MISS * UNIT) & (gap > -MAX_OVERLAP * UNIT) & (left[:, None] < left[None])
    first, second = np.nonzero(fits)
    best = np.argsort(miss[fits] + 0.1 * np.maximum(0, gap[fits]), kind="stable")
    chain_of = list(range(len(ridges)))
    chains = dict(enumerate(ridges))
    for i, j in zip(first[best].tolist(), second[best].tolist(), strict=True):
        a, b = chains[chain_of[i]], chains[chain_of[j]]
        if a is b or ((a.mass_W > 0) & (b.mass_W > 0)).sum() > MAX_OVERLAP * UNIT:
            continue
        kept, removed = chain_of[i], chain_of[j]
        chains[kept] = a.join(b)
        del chains[removed]
        chain_of = [kept if chain == removed else chain for chain in chain_of]
    return list(chains.values())


def _drop_duplicates(lines: list[_RidgeChain]) -> list[_RidgeChain]:
    """Leave out lines that are the marks, ascenders or descenders of a stronger one."""
    kept: list[_RidgeChain] = []
    for line in sorted(lines, key=lambda line: -line.weight):
        if not any(_is_part_of(line, other) for other in kept):
            kept.append(line)
    return kept


def _is_part_of(line: _RidgeChain, other: _RidgeChain) -> bool:
    beside = (line.columns >= other.left) & (line.columns <= other.right)
    if beside.mean() < MIN_BESIDE:
        return False
    middles = line.moment_W[line.columns] / line.mass_W[line.columns]
    distance = float(np.median(np.abs(middles - other.centres[line.columns])))
    min_distance = MIN_DISTANCE if line.density > THIN * other.density else MIN_DISTANCE_THIN
    return distance < min_distance * UNIT
