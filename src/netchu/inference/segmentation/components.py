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
MIN_LETTERS = 10
"""Number of higher components, with at least half of the ink, that make the lower ones specks."""
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
MIN_REST = 0.5
"""Ink that is in no line is a letter from this many letter heights on."""
MAX_REST = 20
"""Lines that such letters may become; more of them are the texture of a surface."""
RULE_HEIGHT = 1.5
"""A component higher than this, in letter heights, and `RULE_SHAPE` times as high as wide is part
of a ruled line or a shadow; likewise across."""
RULE_SHAPE = 8
MIN_FILL = 0.05
"""Ink of writing as a fraction of its box; drawn frames have less."""
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
    if letter_height < MIN_LETTER_HEIGHT and _are_mostly_letters(heights, areas):
        letter_height = _letter_height(heights, np.where(heights < MIN_LETTER_HEIGHT, 0, areas))
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
    labels = _add_marks(labels, components, reach, letter_height)
    rest = _label_rest(labels, components, stats, letter_height)
    if rest is not labels:
        labels = _add_marks(rest, components, reach, letter_height)
    return labels, letter_height


def unassigned_letters(ink_HW: Mask, labels_HW: Labels, letter_height: float) -> Mask:
    """Return a mask of the components of at least a letter's size that are in no line."""
    rest = np.where(labels_HW == 0, ink_HW, 0).astype(np.uint8)
    _, found, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    chosen = _are_letters(np.asarray(stats, np.int32), letter_height)
    return np.asarray(np.where(chosen, 255, 0).astype(np.uint8)[found], np.uint8)


def _are_letters(stats_N5: NDArray[np.int32], letter_height: float) -> NDArray[np.bool_]:
    """Return which components may be letters, or several that are connected, by their shape."""
    _, _, widths, heights, areas = stats_N5.T
    long = np.maximum(widths, heights)
    is_rule = (long > RULE_HEIGHT * letter_height) & (
        long > RULE_SHAPE * np.minimum(widths, heights)
    )
    is_frame = (heights >= MAX_LETTER * letter_height) & (areas < MIN_FILL * widths * heights)
    chosen = (heights >= MIN_REST * letter_height) & ~is_rule & ~is_frame
    chosen[0] = False
    return np.asarray(chosen)


def _label_rest(
    labels_HW: Labels, components_HW: Labels, stats: NDArray[np.int32], letter_height: float
) -> Labels:
    """Make lines of letters that are in none: an isolated word, the end of a line that drops.

    In reading order each is beside the line that is nearest to it. Without such letters, or with
    more than `MAX_REST` groups of them, the labels themselves are returned.
    """
    chosen = _are_letters(stats, letter_height)
    chosen &= stats[:, cv2.CC_STAT_HEIGHT] < MAX_LETTER * letter_height
    chosen[components_HW[labels_HW > 0]] = False
    if not chosen.any():
        return labels_HW
    rest = np.where(chosen, 255, 0).astype(np.uint8)[components_HW]
    across, down = round(2 * letter_height) | 1, round(0.5 * letter_height) | 1
    joined = cv2.dilate(rest, np.ones((down, across), np.uint8))
    count, groups, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count - 1 > MAX_REST:
        return labels_HW
    lines = [int(number) for number in np.unique(labels_HW) if number]
    labels, order = labels_HW.copy(), list(lines)
    for group in np.argsort(-boxes[1:, cv2.CC_STAT_LEFT], kind="stable") + 1:
        number = len(lines) + int(group)
        box = boxes[group]
        near = slice(box[1], box[1] + box[3]), slice(box[0], box[0] + box[2])
        own = (np.asarray(groups)[near] == group) & (rest[near] > 0)
        labels[near][own] = number
        order.insert(_place(labels_HW, lines, labels == number, order), number)
    renumbered = np.zeros(len(order) + 1, np.int32)
    renumbered[order] = np.arange(1, len(order) + 1)
    return renumbered[labels]


def _place(labels_HW: Labels, lines: list[int], own_HW: NDArray[np.bool_], order: list[int]) -> int:
    """Return the index in `order` of new ink: before or after the line that is nearest to it."""
    if not lines:
        return len(order)
    y, x = np.nonzero(own_HW)
    line_y, line_x = np.nonzero(labels_HW)
    distance = np.hypot(line_x - x.mean(), line_y - y.mean())
    nearest = labels_HW[line_y[distance.argmin()], line_x[distance.argmin()]]
    of_nearest = labels_HW[line_y, line_x] == nearest
    line_y, line_x = line_y[of_nearest], line_x[of_nearest]
    if x.max() < line_x.min() or line_x.max() < x.min():
        before = x.max() < line_x.min()
    else:
        before = y.mean() < line_y[np.abs(line_x - x.mean()).argmin()]
    return order.index(int(nearest)) + (not before)


def _are_mostly_letters(heights: NDArray[np.int32], areas: NDArray[np.int32]) -> bool:
    """Return whether most ink is in components as high as letters; the others are specks then."""
    high = (heights >= MIN_LETTER_HEIGHT) & (areas > 0)
    return int(high.sum()) >= MIN_LETTERS and 2 * int(areas[high].sum()) >= int(areas.sum())


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
