"""Light ink on dark paper: where a photo has it, and the photo with dark ink instead."""

from __future__ import annotations

import cv2
import numpy as np

from netchu.imaging.images import Grey, quantiles

DARK = 128
MIN_DARK_SHARE = 0.2
"""A photo with a smaller share of pixels below `DARK` has no dark paper: ink covers less."""
WORKING_AREA = 150_000
"""Pixels of the copy on which paper and ink are told apart."""
WINDOW = 31
"""Pixels of the copy. Ink covers less than half of such a window, so its median is paper."""
MIN_CONTRAST = 32
"""Grey levels by which ink differs from its paper."""
MIN_STEP = 60
"""Grey levels between dark and light paper, if a photo has both."""
MIN_REGION = 0.03
"""Smallest share of the photo that is dark paper."""
INK_SHARES = (0.002, 0.45)
"""Least and most ink, as a share of its paper."""
MIN_DOMINANCE = 3.0
"""Paper bears light ink if it has this many times as much of it as of dark ink."""


def with_dark_ink(photo_HW: Grey) -> Grey:
    """Return the photo with every dark area that bears light ink inverted.

    A photo without such an area is returned itself. A dark area without light ink, such as a desk,
    stays as it is.
    """
    stride = max(1, int((photo_HW.size / 20_000) ** 0.5))
    if np.mean(photo_HW[::stride, ::stride] < DARK) < MIN_DARK_SHARE:
        return photo_HW
    height, width = photo_HW.shape
    scale = min(1.0, (WORKING_AREA / photo_HW.size) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(photo_HW, size, interpolation=cv2.INTER_AREA), np.uint8)
    paper = np.asarray(cv2.medianBlur(small, WINDOW), np.uint8)
    light = cv2.subtract(small, paper) > MIN_CONTRAST
    dark = cv2.subtract(paper, small) > MIN_CONTRAST
    count, found = cv2.connectedComponents(_dark_paper(paper), connectivity=4)
    areas = np.asarray(found, np.int32)
    # Near the border of an area the median is that of the paper beyond.
    inner = np.where(cv2.erode((areas > 0).astype(np.uint8), np.ones((9, 9), np.uint8)), areas, 0)
    sizes, lights, darks = (
        np.bincount(inner[chosen], minlength=count) for chosen in (inner >= 0, light, dark)
    )
    least, most = INK_SHARES
    inverted = (
        (sizes > MIN_REGION * small.size)
        & (lights > MIN_DOMINANCE * darks)
        & (lights > least * sizes)
        & (lights < most * sizes)
    )
    inverted[0] = False
    if not inverted.any():
        return photo_HW
    inverted_HW = _fill(inverted[areas].astype(np.uint8))
    mask = cv2.resize(inverted_HW, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.where(mask, 255 - photo_HW, photo_HW).astype(np.uint8)


def _fill(mask_HW: Grey) -> Grey:
    """Add the small gaps, where dense ink passed for light paper."""
    _, gaps, stats, _ = cv2.connectedComponentsWithStats(1 - mask_HW, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < MIN_REGION * mask_HW.size
    small[0] = True  # the mask itself
    return np.asarray(small[gaps], np.uint8)


def _dark_paper(paper_HW: Grey) -> Grey:
    """Mark the darker of two papers, or all of one that is dark."""
    low, middle, high = quantiles(paper_HW, (0.03, 0.5, 0.97))
    if high - low < MIN_STEP:
        return np.full_like(paper_HW, middle < DARK)
    _, light = cv2.threshold(paper_HW, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return np.asarray(1 - light, np.uint8)
