"""Writing of two sizes on one page, such as a heading above small lines.

Lines are found by the height of most letters. Letters of less than half of it pass for marks or for
nothing, so rows of them are segmented on their own.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.inference.segmentation.components import MIN_LETTER_HEIGHT
from netchu.inference.segmentation.ink import Mask
from netchu.inference.segmentation.text_lines import Labels

MAX_SMALL = 0.6
"""Components lower than this fraction of the letter height may be letters of smaller writing."""
MIN_ROW = 6
"""So many of them side by side are a row of smaller writing; marks stand farther apart."""
MAX_GAP = 1.5
"""Gap between two of a row, in their median height."""
REACH = 1.0
"""Distance in the same unit within which other ink is of the row: its marks, and lower letters."""


def split_small_rows(ink_HW: Mask, letter_height: float) -> tuple[Mask, Mask] | None:
    """Return the ink without rows of smaller writing, and theirs; None if there are no such rows.

    Args:
        ink_HW: the ink of a page.
        letter_height: of most letters, in pixels of the mask.
    """
    _, found, stats, centroids = cv2.connectedComponentsWithStats(ink_HW, connectivity=8)
    components, heights = np.asarray(found, np.int32), np.asarray(stats[:, cv2.CC_STAT_HEIGHT])
    low = heights < MAX_SMALL * letter_height
    low[0] = False
    small = low & (heights >= MIN_LETTER_HEIGHT)
    if small.sum() < MIN_ROW:
        return None
    height = int(np.median(heights[small]))
    near = _near_rows(components, small, low, np.asarray(centroids, np.float64), height)
    if not near.any():
        return None
    inside = low & (np.bincount(components[near], minlength=len(low)) > 0)
    own = np.where(inside, 255, 0).astype(np.uint8)[components]
    return np.asarray(cv2.subtract(ink_HW, own), np.uint8), np.asarray(own, np.uint8)


def _near_rows(
    components_HW: Labels,
    small: NDArray[np.bool_],
    low: NDArray[np.bool_],
    centroids: NDArray[np.float64],
    height: int,
) -> NDArray[np.bool_]:
    """Return the pixels in and beside rows of small components without a higher one in between.

    Args:
        components_HW: the components.
        small: which may be letters of a row.
        low: which are no letters of the larger writing.
        centroids: x and y of each component.
        height: median height of the small ones.
    """
    letters = np.where(small, 255, 0).astype(np.uint8)[components_HW]
    joined = cv2.dilate(letters, np.ones((1, round(MAX_GAP * height) * 2 + 1), np.uint8))
    count, rows, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    x, y = np.rint(centroids[small]).astype(np.int64).T  # joined ink fills letters sideways
    sizes = np.bincount(np.asarray(rows)[y, x], minlength=count)
    sizes[0] = 0
    near, reach = np.zeros(components_HW.shape, np.bool_), round(REACH * height)
    for row in np.flatnonzero(sizes >= MIN_ROW):
        left, top, width, tall = boxes[row, :4].tolist()
        across = slice(left, left + width)
        between = components_HW[top : top + tall, across]
        if low[between[between > 0]].all():
            near[max(0, top - reach) : top + tall + reach, across] = True
    return near
