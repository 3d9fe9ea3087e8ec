"""Pen strokes, and how the trace of a pen looks: shared by VNOnDB's renderer and ink synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Stroke = NDArray[np.float32]
"""One pen-down movement: points × (x, y); y grows downwards."""

Ink = NDArray[np.float32]
"""How much ink lies on each pixel, HW: 0 is none, 1 is all."""

FINE = 2
"""Strokes are drawn this many times larger and then shrunk: finer pen widths, smoother edges."""
SHIFT = 3
"""Bits after the point in the coordinates given to OpenCV."""


@dataclass(frozen=True)
class Pen:
    """A nib. width: pixels across it. angle: of its edge, radians from the x axis.

    contrast: by how much of its width a line along the edge is thinner; 0 for a round nib.
    """

    width: float
    angle: float = 0.0
    contrast: float = 0.0


def choose_pen(rng: np.random.Generator, x_height: float) -> Pen:
    """A ballpoint, a felt pen or a fountain pen, fit for letters whose x-height is that of pixels.

    People take the same pens to small writing and to large, so the width follows the x-height
    only in part.
    """
    size = 0.5 * x_height + 6.5
    kind = rng.random()
    if kind < 0.6:
        return Pen(size * rng.uniform(0.08, 0.14))
    if kind < 0.8:
        return Pen(size * rng.uniform(0.14, 0.21))
    return Pen(size * rng.uniform(0.12, 0.2), rng.uniform(0.3, 1.1), rng.uniform(0.25, 0.6))


def trace(strokes: Sequence[Stroke], pen: Pen) -> Ink:
    """Draw strokes, whose unit is the pixel, on a sheet that just holds them and the pen's width.

    The sheet's upper left corner is `reach(pen)` before the smallest x and y.
    """
    points = np.concatenate(strokes)
    margin = reach(pen)
    corner = points.min(axis=0) - margin
    width, height = (np.ceil(np.ptp(points, axis=0)).astype(int) + 2 * margin).tolist()
    page = np.zeros((height * FINE, width * FINE), np.uint8)
    fixed = np.rint((points - corner) * (FINE << SHIFT)).astype(np.int32)
    lines = np.split(fixed, np.cumsum([len(stroke) for stroke in strokes])[:-1])
    if pen.contrast:
        _broad_edge(page, lines, pen)
    else:
        cv2.polylines(page, lines, False, 255, _thickness(pen.width), cv2.LINE_AA, SHIFT)
    for line in lines:  # OpenCV draws no line without a length, so no dot of an i and no full stop
        if np.ptp(line, axis=0).max() < 1 << SHIFT:
            x, y = line[0].tolist()
            radius = round(pen.width * 0.6 * (FINE << SHIFT))
            cv2.circle(page, (x, y), radius, 255, cv2.FILLED, cv2.LINE_AA, SHIFT)
    small = cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) * np.float32(1 / 255)


def reach(pen: Pen) -> int:
    """Pixels that a pen's trace may stand out from its path."""
    return int(pen.width) + 1


def _thickness(width: float) -> int:
    return max(1, round(width * FINE))


def _broad_edge(page: NDArray[np.uint8], lines: Sequence[NDArray[np.int32]], pen: Pen) -> None:
    """Draw piece by piece, each as thick as the nib is across its direction."""
    pieces = np.concatenate([np.stack([line[:-1], line[1:]], axis=1) for line in lines])
    steps = pieces[:, 1] - pieces[:, 0]
    along = np.abs(np.cos(np.arctan2(steps[:, 1], steps[:, 0]) + pen.angle))
    widths = np.maximum(1, np.rint(pen.width * FINE * (1 - pen.contrast * along))).astype(int)
    for width in np.unique(widths).tolist():
        chosen = list(pieces[widths == width])
        cv2.polylines(page, chosen, False, 255, width, cv2.LINE_AA, SHIFT)
