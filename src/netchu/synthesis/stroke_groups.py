"""Groups of pen strokes (a word, a letter, a full stop) that can be placed side by side.

The unit is the x-height; y = 0 is the baseline, y grows downwards, x = 0 is the left edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from netchu.imaging.strokes import Stroke


class StrokeGroup(NamedTuple):
    """Strokes that belong together.

    Args:
        strokes: in the order of writing.
        width: largest x.
        gap_before: space before a punctuation mark as it was written.
    """

    strokes: tuple[Stroke, ...]
    width: float
    gap_before: float = 0.0


def from_tablet(
    strokes: Sequence[Stroke], left: float, baseline: float, x_height: float
) -> StrokeGroup:
    """Bring strokes in tablet units to the common scale; the other arguments are tablet units."""
    origin = np.array([left, baseline], np.float32)
    scaled = tuple((stroke - origin) / np.float32(x_height) for stroke in strokes)
    return StrokeGroup(scaled, max(float(stroke[:, 0].max()) for stroke in scaled))


def align_left(strokes: Sequence[Stroke]) -> StrokeGroup:
    """Return the strokes as a group, moved to x = 0."""
    left = min(float(stroke[:, 0].min()) for stroke in strokes)
    return translate(strokes, -left, 0.0)


def translate(strokes: Sequence[Stroke], x: float, y: float) -> StrokeGroup:
    """Return the strokes as a group, moved by (x, y)."""
    offset = np.array([x, y], np.float32)
    moved = tuple(stroke + offset for stroke in strokes)
    return StrokeGroup(moved, max(float(stroke[:, 0].max()) for stroke in moved))


def vertical_extent(group: StrokeGroup) -> tuple[float, float]:
    """Return the smallest and the largest y."""
    y = np.concatenate([stroke[:, 1] for stroke in group.strokes])
    return float(y.min()), float(y.max())


def shear_and_stretch(group: StrokeGroup, shear: float, stretch: float) -> StrokeGroup:
    """Return the group slanted by `shear` (x per y), then stretched along x."""
    changed = []
    for stroke in group.strokes:
        x = (stroke[:, 0] + np.float32(shear) * stroke[:, 1]) * np.float32(stretch)
        changed.append(np.stack([x, stroke[:, 1]], axis=1))
    return align_left(changed)._replace(gap_before=group.gap_before)


def concatenate(groups: Sequence[StrokeGroup], gaps: Sequence[float]) -> StrokeGroup:
    """Place groups side by side.

    Args:
        groups: at least one.
        gaps: space before each group; the first value is ignored, a negative one overlaps.
    """
    strokes: list[Stroke] = []
    x = 0.0
    for index, (group, gap) in enumerate(zip(groups, gaps, strict=True)):
        x += gap if index else 0.0
        strokes += translate(group.strokes, x, 0.0).strokes
        x += group.width
    return align_left(strokes)
