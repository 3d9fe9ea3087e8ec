"""Pen strokes and how they are drawn, for VNOnDB and for synthesis from strokes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Stroke = NDArray[np.float32]
"""One pen-down movement: points × (x, y); y grows downwards."""

Ink = NDArray[np.float32]
"""Ink coverage of each pixel, HW, from 0 to 1."""

SUPERSAMPLING = 2
"""Strokes are drawn this many times larger and then reduced: finer widths, smoother edges."""
FRACTION_BITS = 3
"""Fractional bits of the coordinates passed to OpenCV."""


@dataclass(frozen=True)
class Pen:
    """The nib of a pen.

    Attributes:
        width: in pixels.
        angle: of the nib's edge, in radians from the x axis.
        contrast: share of the width by which a line along the edge is thinner; 0 is a round nib.
    """

    width: float
    angle: float = 0.0
    contrast: float = 0.0


def choose_pen(rng: np.random.Generator, x_height: float) -> Pen:
    """Draw a random ballpoint, felt pen or fountain pen for letters with an x-height in pixels.

    People use the same pens for small and large writing, so the width grows more slowly than the
    x-height.
    """
    size = 0.5 * x_height + 6.5
    kind = rng.random()
    if kind < 0.6:
        return Pen(size * rng.uniform(0.08, 0.14))
    if kind < 0.8:
        return Pen(size * rng.uniform(0.14, 0.21))
    return Pen(size * rng.uniform(0.12, 0.2), rng.uniform(0.3, 1.1), rng.uniform(0.25, 0.6))


def draw_strokes(strokes: Sequence[Stroke], pen: Pen) -> Ink:
    """Draw strokes, given in pixels, on the smallest page that holds them.

    The upper left corner of the page is `pen_margin(pen)` before the smallest x and y.
    """
    points = np.concatenate(strokes)
    margin = pen_margin(pen)
    corner = points.min(axis=0) - margin
    width, height = (np.ceil(np.ptp(points, axis=0)).astype(int) + 2 * margin).tolist()
    page = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    fixed = np.rint((points - corner) * (SUPERSAMPLING << FRACTION_BITS)).astype(np.int32)
    lines = np.split(fixed, np.cumsum([len(stroke) for stroke in strokes])[:-1])
    if pen.contrast:
        _broad_edge(page, lines, pen)
    else:
        cv2.polylines(page, lines, False, 255, _thickness(pen.width), cv2.LINE_AA, FRACTION_BITS)
    for line in lines:  # OpenCV draws no line of length 0, such as the dot of an i
        if np.ptp(line, axis=0).max() < 1 << FRACTION_BITS:
            x, y = line[0].tolist()
            radius = round(pen.width * 0.6 * (SUPERSAMPLING << FRACTION_BITS))
            cv2.circle(page, (x, y), radius, 255, cv2.FILLED, cv2.LINE_AA, FRACTION_BITS)
    small = cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) * np.float32(1 / 255)


def pen_margin(pen: Pen) -> int:
    """Return the number of pixels that a drawn stroke may extend beyond its path."""
    return int(pen.width) + 1


def _thickness(width: float) -> int:
    return max(1, round(width * SUPERSAMPLING))


def _broad_edge(page: NDArray[np.uint8], lines: Sequence[NDArray[np.int32]], pen: Pen) -> None:
    """Draw each segment as wide as the nib is across the direction of the segment."""
    segments = np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in lines])
    steps = segments[:, 1] - segments[:, 0]
    along = np.abs(np.cos(np.arctan2(steps[:, 1], steps[:, 0]) + pen.angle))
    widths = np.maximum(1, np.rint(pen.width * SUPERSAMPLING * (1 - pen.contrast * along))).astype(
        int
    )
    for width in np.unique(widths).tolist():
        equally_wide = list(segments[widths == width])
        cv2.polylines(page, equally_wide, False, 255, width, cv2.LINE_AA, FRACTION_BITS)
