"""A piece of pen writing (a word, a letter, a full stop) that can be set beside others.

The unit is the x-height; y = 0 is the baseline, y grows downwards, x = 0 is the left edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from netchu.imaging.strokes import Stroke


class Piece(NamedTuple):
    """strokes: in the order of writing. width: of the ink. lead: the gap before a punctuation."""

    strokes: tuple[Stroke, ...]
    width: float
    lead: float = 0.0


def piece_of(strokes: Sequence[Stroke], left: float, baseline: float, x_height: float) -> Piece:
    """Bring strokes from the tablet to the common scale."""
    origin = np.array([left, baseline], np.float32)
    scaled = tuple((stroke - origin) / np.float32(x_height) for stroke in strokes)
    return Piece(scaled, max(float(stroke[:, 0].max()) for stroke in scaled))


def crop(strokes: Sequence[Stroke]) -> Piece:
    """A piece of some strokes, moved to x = 0."""
    left = min(float(stroke[:, 0].min()) for stroke in strokes)
    return shift(strokes, -left, 0.0)


def shift(strokes: Sequence[Stroke], x: float, y: float) -> Piece:
    """The strokes moved by (x, y)."""
    by = np.array([x, y], np.float32)
    moved = tuple(stroke + by for stroke in strokes)
    return Piece(moved, max(float(stroke[:, 0].max()) for stroke in moved))


def extent(piece: Piece) -> tuple[float, float]:
    """The smallest and the largest y."""
    y = np.concatenate([stroke[:, 1] for stroke in piece.strokes])
    return float(y.min()), float(y.max())


def adapt(piece: Piece, shear: float, stretch: float) -> Piece:
    """The piece slanted by `shear` (x per y) and stretched along x."""
    changed = []
    for stroke in piece.strokes:
        x = (stroke[:, 0] + np.float32(shear) * stroke[:, 1]) * np.float32(stretch)
        changed.append(np.stack([x, stroke[:, 1]], axis=1))
    return crop(changed)._replace(lead=piece.lead)


def set_in_row(pieces: Sequence[Piece], gaps: Sequence[float]) -> Piece:
    """Pieces side by side; gaps[i] stands before pieces[i], and the first of them counts for none.

    A gap below 0 lets two pieces overlap.
    """
    strokes: list[Stroke] = []
    x = 0.0
    for place, (piece, gap) in enumerate(zip(pieces, gaps, strict=True)):
        x += gap if place else 0.0
        strokes += shift(piece.strokes, x, 0.0).strokes
        x += piece.width
    return crop(strokes)
