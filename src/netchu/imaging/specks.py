"""Specks on a scan in black and white: dust, and noise of the scanner."""

from __future__ import annotations

import cv2
import numpy as np

from netchu.imaging.images import Grey, quantiles

SPECK_SIDE = 1 / 40
"""Side of the largest speck, a square, as a fraction of the height of the line's crop."""

MIN_CONTRAST = 64
"""Least grey levels between paper and ink."""
PALE, DARK = 0.2, 0.6
"""Fractions of the contrast by which pale strokes and ink are darker than paper."""


def without_specks(line_HW: Grey) -> Grey:
    """Return the crop of a line with its specks painted over; without any, the crop itself.

    A speck is as dark as ink, smaller than a pen draws a dot, and has nothing darker than paper
    beside it, as a piece of a pale stroke has.
    """
    max_area = int((line_HW.shape[0] * SPECK_SIDE) ** 2)
    if not max_area:
        return line_HW
    paper, ink = quantiles(line_HW[::4, ::4], (0.5, 0.005))
    contrast = max(paper - ink, MIN_CONTRAST)
    not_paper = (line_HW < paper - PALE * contrast).astype(np.uint8)
    _, found, stats, _ = cv2.connectedComponentsWithStats(not_paper, connectivity=8)
    is_speck = np.zeros(len(stats), np.bool_)
    is_speck[np.asarray(found)[line_HW < paper - DARK * contrast]] = True
    is_speck &= stats[:, cv2.CC_STAT_AREA] <= max_area
    if not is_speck.any():
        return line_HW
    return np.where(is_speck[found], cv2.medianBlur(line_HW, 5), line_HW).astype(np.uint8)
