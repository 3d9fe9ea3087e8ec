"""Assigning connected components of ink to text lines: letters to the line on which they lie, marks
to the line of their letter."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.inference.segmentation.ink import Mask
from netchu.inference.segmentation.text_lines import Labels, TextLines, find_text_lines

MIN_LETTER_HEIGHT = 8
"""Lower components, in pixels of the binarised photo, are not letters."""
LETTER_HEIGHT_QUANTILE = 0.75
"""Quantile of the components' heights, weighted by the root of their ink, that is the letter
height."""
MIN_LETTER = 0.3
"""Components of at least this many letter heights are letters, lower ones are marks."""
MAX_LETTER = 4
"""Components of at least this many letter heights are not writing."""
MIN_TOUCHING = 1.0
"""Higher components, in letter heights, may be letters of two lines that touch."""
MIN_TOUCHING_OVERLAP = 0.15
"""Fraction of such a component that a second line must cover."""
MAX_MARK_DISTANCE = 0.9
"""A mark farther than this many letter heights from the nearest letter is noise."""
LOW_LINE = 0.55
"""A line of components lower than this fraction of a line's letter height, and close to it, may
consist of that line's marks."""
THIN_LINE = 0.4
"""It does if its ink per column is below this fraction of the line's."""
MARK_REACH = 2.2
"""Distance in letter heights within which it does, and within which its marks find a letter."""
MARK_LIFT = 0.15
"""Letter heights by which letters are raised before their distance to marks is measured."""


def assign_components(ink_HW: Mask) -> tuple[Labels, float]:
    """Label each pixel of ink with its line, numbered from 1 in reading order.

    Returns:
        The labels, and the height of letters in pixels of the mask.
    """
    _, found, found_stats, centroids = cv2.connectedComponentsWithStats(ink_HW, connectivity=8)
    components, stats = np.asarray(found, np.int32), np.asarray(found_stats, np.int32)
    heights, areas = stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    letter_height = _letter_height(heights, areas)
    is_letter = (
        (heights >= MIN_LETTER * letter_height)
        & (heights < MAX_LETTER * letter_height)
        & (areas > 0)
    )
    if letter_height < MIN_LETTER_HEIGHT or not is_letter.any():
        return np.zeros_like(components), 0.0
    letters = np.where(is_letter, 255, 0).astype(np.uint8)[components]
    lines = find_text_lines(letters, letter_height)
    owner = lines.labels_HW[tuple(np.rint(centroids.T[::-1]).astype(np.int64))]
    owner[~is_letter] = 0
    are_marks = _lines_of_marks(lines, owner, stats)
    labels = _label_letters(components, is_letter, stats, letter_height, _drop(lines, are_marks))
    reach = np.where(np.append(False, are_marks)[owner], MARK_REACH, MAX_MARK_DISTANCE)
    reach = reach * letter_height
    reach[heights >= MAX_LETTER * letter_height] = 0
    return _add_marks(labels, components, reach, letter_height), letter_height


def _letter_height(heights: NDArray[np.int32], areas: NDArray[np.int32]) -> float:
    """Return a quantile of the components' heights, weighted by the root of their ink.

    The root gives words more weight than dots, but keeps one component in which lines touch from
    outweighing all words.
    """
    order = np.argsort(heights)
    total = np.cumsum(np.sqrt(areas[order]))
    return float(heights[order[np.searchsorted(total, LETTER_HEIGHT_QUANTILE * total[-1])]])


def _lines_of_marks(
    lines: TextLines, owner: Labels, stats_N5: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return which lines consist of the marks of another one.

    This happens where all letters of a line are low, so that its marks pass for letters.

    Args:
        lines: the lines found.
        owner: line in which the centroid of each component lies, 0 for none.
        stats_N5: OpenCV's statistics of the components.
    """
    left, right = np.zeros((2, len(lines.density_N)), np.int64)
    heights = np.full(len(lines.density_N), np.inf)
    for line in np.unique(owner[owner > 0] - 1).tolist():
        starts, _, widths, tall, areas = stats_N5[owner == line + 1].T
        left[line], right[line] = starts.min(), (starts + widths).max()
        heights[line] = _letter_height(tall, areas)
    middle = (left + right) // 2
    down_NN = lines.centres_NW[:, middle]
    distance_NN = np.abs(down_NN - np.diag(down_NN))
    beside_NN = (left[:, None] <= middle) & (middle < right[:, None])
    close_NN = beside_NN & (distance_NN < MARK_REACH * heights[:, None])
    low_NN = heights < LOW_LINE * heights[:, None]
    thin_NN = lines.density_N < THIN_LINE * lines.density_N[:, None]
    return np.asarray((close_NN & low_NN & thin_NN).any(axis=0))


def _drop(lines: TextLines, dropped: NDArray[np.bool_]) -> TextLines:
    """Leave out lines and renumber the others."""
    numbers = np.append(0, np.cumsum(~dropped) * ~dropped).astype(np.int32)
    kept = ~dropped
    return TextLines(numbers[lines.labels_HW], lines.centres_NW[kept], lines.density_N[kept])


def _label_letters(
    components_HW: Labels,
    is_letter: NDArray[np.bool_],
    stats: NDArray[np.int32],
    letter_height: float,
    lines: TextLines,
) -> Labels:
    """Label each letter with the line that covers most of it; split letters that touch."""
    y, x = np.nonzero(lines.labels_HW * (components_HW > 0))
    owner, most, covered = _majority(components_HW[y, x], lines.labels_HW[y, x], len(stats))
    areas, heights = stats[:, cv2.CC_STAT_AREA], stats[:, cv2.CC_STAT_HEIGHT]
    owner[~is_letter & (2 * most < areas)] = 0
    owner[heights >= MAX_LETTER * letter_height] = 0
    labels = owner[components_HW]
    touching = (
        (heights > MIN_TOUCHING * letter_height)
        & (covered - most > MIN_TOUCHING_OVERLAP * covered)
        & (owner > 0)
    )
    for component in np.flatnonzero(touching).tolist():
        left, top, width, height = stats[component, :4].tolist()
        box = slice(top, top + height), slice(left, left + width)
        own = components_HW[box] == component
        near = np.unique(lines.labels_HW[box][own])
        y, x = np.nonzero(own)
        distance = np.abs(lines.centres_NW[near[near > 0] - 1][:, x + left] - (y + top))
        labels[box][own] = near[near > 0][distance.argmin(axis=0)]
    return labels


def _majority(
    components: NDArray[np.int32], lines: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return for each component the line of most of its pixels, their number, and that of all.

    Args:
        components: component of each pixel.
        lines: line of each pixel.
        count: number of components.
    """
    base = int(lines.max(initial=0)) + 1
    pairs, votes = np.unique(components.astype(np.int64) * base + lines, return_counts=True)
    winner, most = np.zeros(count, np.int32), np.zeros(count, np.int64)
    # NumPy keeps the last of equal indices, which is the largest.
    order = np.argsort(votes, kind="stable")
    winner[pairs[order] // base] = pairs[order] % base
    most[pairs[order] // base] = votes[order]
    return winner, most, np.bincount(components, minlength=count)


def _add_marks(
    letters_HW: Labels, components_HW: Labels, reach: NDArray[np.float64], letter_height: float
) -> Labels:
    """Label every other component with the line of the nearest letter within its reach.

    Most marks are above their letter and farther from it than a dot below is from its own, so
    letters are raised before distances are measured.

    Args:
        letters_HW: labels of the letters.
        components_HW: the components.
        reach: largest distance of each component, in pixels.
        letter_height: in pixels.
    """
    lift = round(MARK_LIFT * letter_height)
    raised = np.zeros_like(letters_HW)
    raised[: len(raised) - lift] = letters_HW[lift:]
    distance, nearest = cv2.distanceTransformWithLabels(
        (raised == 0).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    line_of = np.zeros(int(np.max(nearest)) + 1, np.int32)
    line_of[nearest[raised > 0]] = raised[raised > 0]
    y, x = np.nonzero((letters_HW == 0) & (components_HW > 0))
    components = components_HW[y, x]
    lines = np.where(distance[y, x] < reach[components], line_of[nearest[y, x]], 0)
    owner, *_ = _majority(components, lines, len(reach))
    labels = letters_HW.copy()
    labels[y, x] = owner[components]
    return labels
