"""Numbers over an image: smooth waves, noise, and their size. Made for speed.

What changes slowly over a line is drawn on a coarse grid and enlarged; noise is cut from one pool.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""A number for each pixel, HW."""

GRID = 8
"""Pixels between the points of a coarse field."""

POOL = 1 << 20
"""Numbers of noise to cut from: some 20 lines' worth."""


def coarse(pixels: int) -> int:
    """Points of a coarse field that spans so many pixels."""
    return -(-pixels // GRID)


def waves(height: int, width: int, bumps: float, rng: np.random.Generator) -> Field:
    """A smooth random field of mean 0 and about unit size, `bumps` bumps high."""
    rows = max(2, round(bumps) + 1)
    columns = max(2, round(bumps * width / height) + 1)
    points = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(points, (width, height), interpolation=cv2.INTER_CUBIC))


def resized(field_HW: Field, height: int, width: int) -> Field:
    """The field at another size; its values stay."""
    shrinks_much = height < 0.7 * field_HW.shape[0]  # if not, linear is as good and faster
    interpolation = cv2.INTER_AREA if shrinks_much else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(field_HW, (width, height), interpolation=interpolation))


def blurred(field_HW: Field, sigma: float) -> Field:
    """The field blurred by a Gaussian of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(field_HW, (0, 0), sigma))


@lru_cache(maxsize=1)
def _pool() -> Field:
    numbers = np.random.default_rng(0).standard_normal(POOL, dtype=np.float32)
    numbers.flags.writeable = False  # pieces of it are handed out
    return numbers


def noise(height: int, width: int, rng: np.random.Generator) -> Field:
    """Normal noise, to be read only: a piece of the pool, or the pool again and again."""
    spare = POOL - height * width
    if spare < 0:
        return np.resize(_pool(), (height, width))
    start = int(rng.integers(spare + 1))
    return _pool()[start : start + height * width].reshape(height, width)
