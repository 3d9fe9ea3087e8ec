"""Random fields over an image: smooth noise, white noise, and resizing them. Made for speed.

What varies slowly over a line is computed on a coarse grid and enlarged; white noise is cut from
one precomputed array.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""One number for each pixel, HW."""

GRID_STEP = 8
"""Pixels between the points of a coarse grid."""

NOISE_SIZE = 1 << 20
"""Length of the precomputed noise, enough for about 20 lines."""


def grid_points(pixels: int) -> int:
    """Return how many points of a coarse grid span so many pixels."""
    return -(-pixels // GRID_STEP)


def smooth_noise(height: int, width: int, bumps: float, rng: np.random.Generator) -> Field:
    """Return smooth noise of mean 0 and about unit variance, `bumps` bumps high."""
    rows = max(2, round(bumps) + 1)
    columns = max(2, round(bumps * width / height) + 1)
    points = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(points, (width, height), interpolation=cv2.INTER_CUBIC))


def white_noise(height: int, width: int, rng: np.random.Generator) -> Field:
    """Return standard normal noise, read-only: a random slice of one precomputed array.

    An image larger than the array gets the array repeated.
    """
    spare = NOISE_SIZE - height * width
    if spare < 0:
        return np.resize(_precomputed_noise(), (height, width))
    start = int(rng.integers(spare + 1))
    return _precomputed_noise()[start : start + height * width].reshape(height, width)


@lru_cache(maxsize=1)
def _precomputed_noise() -> Field:
    numbers = np.random.default_rng(0).standard_normal(NOISE_SIZE, dtype=np.float32)
    numbers.flags.writeable = False  # callers get views of it
    return numbers


def resize_field(field_HW: Field, height: int, width: int) -> Field:
    """Return the field resampled to another size."""
    shrinks_much = height < 0.7 * field_HW.shape[0]  # otherwise linear is as good and faster
    interpolation = cv2.INTER_AREA if shrinks_much else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(field_HW, (width, height), interpolation=interpolation))


def blur_field(field_HW: Field, sigma: float) -> Field:
    """Return the field after a Gaussian blur of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(field_HW, (0, 0), sigma))
