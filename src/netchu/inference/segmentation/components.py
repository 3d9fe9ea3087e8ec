"""Letters and marks go to their lines: letters to the row they stand in, marks to their letter."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.inference.segmentation.ink import Mask
from netchu.inference.segmentation.text_lines import Labels, Rows, find_rows

SMALLEST = 8
"""Pixels on the working copy below which letters are none."""
USUAL = 0.75
"""Share of the blots, by the root of their ink, that are lower than what letters are taken for."""
CORE = 0.3
"""Letter heights from which a blot is a letter and no mark."""
LARGEST = 4
"""Letter heights from which a blot is no writing."""
TALL = 1.0
"""Letter heights from which a blot may be letters of two lines that touch."""
TOUCHING = 0.15
"""Share of such a blot that a second line covers at least."""
APART = 0.9
"""Letter heights from the nearest letter at which what is too low for a letter is a speck."""
LOW = 0.55
"""Share of a line's letter height below which a row of lower blots close by is its marks."""
THIN = 0.4
"""Share of the line's ink per column below which it is."""
REACH = 2.2
"""Heights of the line's letters within which it is; larger marks reach as far to their letter."""
LIFT = 0.15
"""Letter heights by which marks stand nearer below than above a letter that is not theirs."""


def share_out(ink_HW: Mask) -> tuple[Labels, float]:
    """The number of its line, from 1 in reading order, at every pixel of ink; letters' height."""
    _, found, sizes, middles = cv2.connectedComponentsWithStats(ink_HW, connectivity=8)
    blots, stats = np.asarray(found, np.int32), np.asarray(sizes, np.int32)
    high, area = stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    height = _letter_height(high, area)
    core = (high >= CORE * height) & (high < LARGEST * height) & (area > 0)
    if height < SMALLEST or not core.any():
        return np.zeros_like(blots), 0.0
    rows = find_rows(np.where(core, 255, 0).astype(np.uint8)[blots], height)
    owner = rows.labels_HW[tuple(np.rint(middles.T[::-1]).astype(np.int64))]
    owner[~core] = 0
    is_marks = _of_marks(rows, owner, stats)
    letters = _letters(blots, core, stats, height, _without(rows, is_marks))
    reach = np.where(np.append(False, is_marks)[owner], REACH, APART) * height
    reach[high >= LARGEST * height] = 0
    return _with_marks(letters, blots, reach, height), height


def _letter_height(high: NDArray[np.int32], area: NDArray[np.int32]) -> float:
    """How high letters are: blots, sorted by height, count by the root of their ink.

    So words count for more than dots, but a blot in which lines touch not for more than all words.
    """
    order = np.argsort(high)
    total = np.cumsum(np.sqrt(area[order]))
    return float(high[order[np.searchsorted(total, USUAL * total[-1])]])


def _of_marks(rows: Rows, owner: Labels, stats_N5: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which rows are the marks of another: where all letters are low, marks pass for some.

    owner: the row in which each blot's middle is, 0 for none. stats_N5: OpenCV's of the blots.
    """
    left, right = np.zeros((2, len(rows.density_N)), np.int64)
    high = np.full(len(rows.density_N), np.inf)
    for row in np.unique(owner[owner > 0] - 1).tolist():
        start, _, wide, tall, area = stats_N5[owner == row + 1].T
        left[row], right[row] = start.min(), (start + wide).max()
        high[row] = _letter_height(tall, area)
    middle = (left + right) // 2
    down_NN = rows.centres_NW[:, middle]
    apart_NN = np.abs(down_NN - np.diag(down_NN))
    beside_NN = (left[:, None] <= middle) & (middle < right[:, None])
    close_NN = beside_NN & (apart_NN < REACH * high[:, None])
    low_NN = high < LOW * high[:, None]
    thin_NN = rows.density_N < THIN * rows.density_N[:, None]
    return np.asarray((close_NN & low_NN & thin_NN).any(axis=0))


def _without(rows: Rows, gone: NDArray[np.bool_]) -> Rows:
    numbers = np.append(0, np.cumsum(~gone) * ~gone).astype(np.int32)
    return Rows(numbers[rows.labels_HW], rows.centres_NW[~gone], rows.density_N[~gone])


def _letters(
    blots_HW: Labels,
    core: NDArray[np.bool_],
    stats: NDArray[np.int32],
    letter_height: float,
    rows: Rows,
) -> Labels:
    """Every letter's line: that whose middle it covers most; letters that touch are parted."""
    y, x = np.nonzero(rows.labels_HW * (blots_HW > 0))
    lines, most, covered = _majority(blots_HW[y, x], rows.labels_HW[y, x], len(stats))
    area, high = stats[:, cv2.CC_STAT_AREA], stats[:, cv2.CC_STAT_HEIGHT]
    lines[~core & (2 * most < area)] = 0
    lines[high >= LARGEST * letter_height] = 0
    lettering = lines[blots_HW]
    touching = (high > TALL * letter_height) & (covered - most > TOUCHING * covered) & (lines > 0)
    for blot in np.flatnonzero(touching).tolist():
        left, top, wide, tall = stats[blot, :4].tolist()
        box = slice(top, top + tall), slice(left, left + wide)
        own = blots_HW[box] == blot
        near = np.unique(rows.labels_HW[box][own])
        y, x = np.nonzero(own)
        distance = np.abs(rows.centres_NW[near[near > 0] - 1][:, x + left] - (y + top))
        lettering[box][own] = near[near > 0][distance.argmin(axis=0)]
    return lettering


def _majority(
    blots: NDArray[np.int32], lines: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """For each of `count` blots the line that most of its pixels name, how many do, and of what.

    blots, lines: of each pixel.
    """
    base = int(lines.max(initial=0)) + 1
    pairs, votes = np.unique(blots.astype(np.int64) * base + lines, return_counts=True)
    winner, most = np.zeros(count, np.int32), np.zeros(count, np.int64)
    order = np.argsort(votes, kind="stable")  # of equal indices NumPy keeps the last, the largest
    winner[pairs[order] // base] = pairs[order] % base
    most[pairs[order] // base] = votes[order]
    return winner, most, np.bincount(blots, minlength=count)


def _with_marks(
    letters_HW: Labels, blots_HW: Labels, reach: NDArray[np.float64], letter_height: float
) -> Labels:
    """Give every other blot to the line of the letter nearest to it, if that is within its reach.

    Most marks stand above their letter, and higher than dots stand below theirs, so letters are
    raised before distances are measured.
    """
    lift = round(LIFT * letter_height)
    raised = np.zeros_like(letters_HW)
    raised[: len(raised) - lift] = letters_HW[lift:]
    distance, nearest = cv2.distanceTransformWithLabels(
        (raised == 0).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    line_of = np.zeros(int(np.max(nearest)) + 1, np.int32)
    line_of[nearest[raised > 0]] = raised[raised > 0]
    y, x = np.nonzero((letters_HW == 0) & (blots_HW > 0))
    near = distance[y, x] < reach[blots_HW[y, x]]
    lines, *_ = _majority(blots_HW[y, x], np.where(near, line_of[nearest[y, x]], 0), len(reach))
    shared = letters_HW.copy()
    shared[y, x] = lines[blots_HW[y, x]]
    return shared
