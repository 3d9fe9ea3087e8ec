"""Rows of letters: letters smeared along the writing are streaks, and streaks in a row are a line.

All is done on a small map on which letters are `UNIT` pixels high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Labels = NDArray[np.int32]
"""HW: the number of what stands at each pixel; 0 is paper."""

UNIT = 12
"""Pixels of the small map that letters are high."""
FAINT = 0.25
"""Share of the strongest streaks' strength below which there is none."""
ASTRAY = 0.6
"""Letter heights by which two streaks of one line may miss each other."""
OVERLAP = 2
"""Letter heights by which they may overlap: smearing makes them longer than their letters."""
CLOSE = 0.7
"""Letter heights within which a weaker row is but the tops or tails of a stronger one."""
CLOSE_THIN = 1.6
"""The same for rows that are thinner than `THIN` of the stronger one."""
THIN = 0.4
MOST = 500
"""Streaks that are looked at, the heaviest: on paper with a texture there are thousands."""
GUTTER = 3
"""Letter heights of paper between the streaks of two columns."""
COLUMN_LINES = 3
"""Lines that a column has at least."""


@dataclass(frozen=True)
class Rows:
    """The lines of a page, numbered from 1 in reading order.

    labels_HW: the number of the line whose letters' middles run here. centres_NW: the height of
    each line's middle at every column of the page. density_N: each line's ink per column.
    """

    labels_HW: Labels
    centres_NW: Field
    density_N: Field


@dataclass(frozen=True)
class _Row:
    """One streak or several in a row. mass_W and moment_W: its ink, and that times its height."""

    members: tuple[int, ...]
    mass_W: Field
    moment_W: Field

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
        """Ink per column."""
        return self.weight / len(self.columns)

    @cached_property
    def slope(self) -> float:
        """Pixels fallen per pixel; that of a short row is taken for smaller than it looks."""
        mass = self.mass_W[self.columns]
        x = self.columns - np.average(self.columns, weights=mass)
        y = self.moment_W[self.columns] / mass
        spread = float((mass * x * x).sum()) + self.weight * (3 * UNIT) ** 2
        return float((mass * x * y).sum()) / spread

    def middle(self, left: int, right: int) -> float:
        """Height of the ink between two columns."""
        return float(self.moment_W[left:right].sum() / self.mass_W[left:right].sum())

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Height at the left and at the right end."""
        near = min(2 * UNIT, len(self.columns))
        head, tail = self.columns[:near], self.columns[-near:]
        return (
            self.middle(head[0], head[-1] + 1) - self.slope * near / 2,
            self.middle(tail[0], tail[-1] + 1) + self.slope * near / 2,
        )

    @cached_property
    def centres(self) -> Field:
        """Height at every column, straight where there is no ink, sloping beyond the ends."""
        every = np.arange(len(self.mass_W))
        between = np.interp(
            every, self.columns, self.moment_W[self.columns] / self.mass_W[self.columns]
        )
        before = self.ends[0] + self.slope * (every - self.left)
        after = self.ends[1] + self.slope * (every - self.right)
        centre = np.where(every < self.left, before, np.where(every > self.right, after, between))
        return np.asarray(centre, np.float32)

    def joined(self, other: _Row) -> _Row:
        return _Row(
            self.members + other.members,
            self.mass_W + other.mass_W,
            self.moment_W + other.moment_W,
        )


def find_rows(letters_HW: NDArray[np.uint8], letter_height: float) -> Rows:
    """The lines in which letters stand.

    letters_HW: a mask (255 is ink) of level writing without its marks. letter_height: pixels.
    """
    height, width = letters_HW.shape
    scale = UNIT / letter_height
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(letters_HW, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    labels, streaks = _streaks(small)
    rows = _in_reading_order(streaks)
    numbers = np.zeros(int(labels.max()) + 1, np.int32)
    for number, row in enumerate(rows, 1):
        numbers[list(row.members)] = number
    renamed = cv2.resize(numbers[labels], (width, height), interpolation=cv2.INTER_NEAREST)
    centres = np.zeros((len(rows), width), np.float32)
    places = (np.arange(width) + 0.5) * size[0] / width - 0.5
    for number, row in enumerate(rows):
        middle = np.interp(places, np.arange(size[0]), row.centres)
        centres[number] = (middle + 0.5) * height / size[1] - 0.5
    density = np.array([row.density for row in rows], np.float32)
    return Rows(np.asarray(renamed, np.int32), centres, density)


def _streaks(small_HW: Field) -> tuple[Labels, list[_Row]]:
    """Where there is more ink than above and below; members name the labels."""
    smeared = cv2.GaussianBlur(small_HW, (0, 0), sigmaX=1.2 * UNIT, sigmaY=0.2 * UNIT)
    around = cv2.GaussianBlur(smeared, (1, 0), sigmaX=0.01, sigmaY=0.7 * UNIT)
    ridge = np.asarray(smeared - around, np.float32)
    rises = ridge[ridge > 0]
    ridge[ridge < FAINT * float(np.percentile(rises, 90) if rises.size else 1.0)] = 0
    count, found = cv2.connectedComponents((ridge > 0).astype(np.uint8), connectivity=8)
    labels, width = np.asarray(found, np.int32), small_HW.shape[1]
    y, x = np.nonzero(ridge)
    owner, mass = labels[y, x], ridge[y, x]
    heaviest = np.sort(np.argsort(np.bincount(owner, mass, count)[1:])[-MOST:] + 1)
    slot = np.zeros(count, np.int64)
    slot[heaviest] = np.arange(1, len(heaviest) + 1)
    place, size = slot[owner] * width + x, (len(heaviest) + 1) * width
    masses, moments = (
        np.bincount(place, values, size).reshape(-1, width).astype(np.float32)
        for values in (mass, mass * y)
    )
    return labels, [_Row((n,), masses[slot[n]], moments[slot[n]]) for n in heaviest.tolist()]


def _in_reading_order(streaks: list[_Row]) -> list[_Row]:
    """Lines from top to bottom; column after column where gutters part them."""
    columns = [_lines(column) for column in _columns(streaks)]
    if min(map(len, columns), default=0) < COLUMN_LINES:
        return _lines(streaks)
    return [line for column in columns for line in column]


def _columns(streaks: Sequence[_Row]) -> list[list[_Row]]:
    """Streaks parted where a stretch of paper runs down the whole page."""
    columns: list[list[_Row]] = []
    reached = -math.inf
    for streak in sorted(streaks, key=lambda s: s.left):
        if streak.left - reached > GUTTER * UNIT:
            columns.append([])
        columns[-1].append(streak)
        reached = max(reached, streak.right)
    return columns


def _lines(streaks: list[_Row]) -> list[_Row]:
    rows = _distinct(_chained(streaks))
    return sorted(rows, key=lambda row: row.moment_W.sum() / row.weight)


def _chained(streaks: list[_Row]) -> list[_Row]:
    """Join streaks that go on one another, those that do so best first."""
    left, right = (np.array([getattr(s, end) for s in streaks]) for end in ("left", "right"))
    begins, ends = np.array([s.ends for s in streaks]).reshape(-1, 2).T
    slope, weight = (np.array([getattr(s, name) for s in streaks]) for name in ("slope", "weight"))
    gap = left[None] - right[:, None]
    both = (slope * weight)[None] + (slope * weight)[:, None]
    miss = np.abs(ends[:, None] + gap * both / (weight[None] + weight[:, None]) - begins[None])
    fit = (miss < ASTRAY * UNIT) & (gap > -OVERLAP * UNIT) & (left[:, None] < left[None])
    first, second = np.nonzero(fit)
    best = np.argsort(miss[fit] + 0.1 * np.maximum(0, gap[fit]), kind="stable")
    home = list(range(len(streaks)))
    rows = dict(enumerate(streaks))
    for i, j in zip(first[best].tolist(), second[best].tolist(), strict=True):
        a, b = rows[home[i]], rows[home[j]]
        if a is b or ((a.mass_W > 0) & (b.mass_W > 0)).sum() > OVERLAP * UNIT:
            continue
        kept, gone = home[i], home[j]
        rows[kept] = a.joined(b)
        del rows[gone]
        home = [kept if place == gone else place for place in home]
    return list(rows.values())


def _distinct(rows: list[_Row]) -> list[_Row]:
    """Leave out rows that are the marks, tops or tails of a stronger one close by."""
    kept: list[_Row] = []
    for row in sorted(rows, key=lambda row: -row.weight):
        if not any(_belongs(row, other) for other in kept):
            kept.append(row)
    return kept


def _belongs(row: _Row, other: _Row) -> bool:
    if row.right < other.left or row.left > other.right:
        return False
    middles = row.moment_W[row.columns] / row.mass_W[row.columns]
    apart = float(np.median(np.abs(middles - other.centres[row.columns])))
    return apart < (CLOSE if row.density > THIN * other.density else CLOSE_THIN) * UNIT
