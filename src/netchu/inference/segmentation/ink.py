"""From a photo of paper to a mask of its ink: even lighting, level lines, no ruled lines.

Works on a copy of at most `WORKING_AREA` pixels, on which most handwriting is 10 pixels high or
more; smaller writing is looked for on a larger copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.imaging.images import Grey, quantiles

Mask = NDArray[np.uint8]
"""HW, 255 or 0."""
Affine = NDArray[np.float64]
"""3×3; maps (x, y, 1)."""

WORKING_AREA = 1_200_000
MAX_ANGLE = 10
"""Largest slope of the writing that is levelled, in degrees."""

MIN_CONTRAST = 0.1
"""Lowest darkness of ink, as a fraction of the brightness of the paper."""
MIN_PAPER_BRIGHTNESS = 0.3
"""Where the background is darker than this fraction of the paper's brightness, it is not paper."""
EDGE_WIDTH = 25
"""Largest width in pixels of the transition from a desk to the sheet."""
MIN_DARKNESS = 64
"""Grey levels by which ink is darker than paper beyond doubt."""
MIN_INK = 0.003
"""Smallest share of a line's crop that is ink."""
MIN_RULE_LENGTH = 1 / 6
"""A straight stroke of this fraction of the page's width or height is a ruled line."""
MAX_STEM_LENGTH = 90
"""Longest straight part of a letter, in pixels of the working copy."""
MAX_STEM_HEIGHT = 0.8
"""The same as a fraction of the photo's height, which one line may fill."""


@dataclass(frozen=True)
class BinarisedPhoto:
    """The ink of a photo, rotated so that lines are level.

    Attributes:
        ink_HW: the mask.
        scale: pixels of the mask per pixel of the photo.
        to_photo: map from pixels of the mask to pixels of the photo.
    """

    ink_HW: Mask
    scale: float
    to_photo: Affine

    def in_photo(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the x and y coordinates in the photo of N pixels of the mask, shape (2, N)."""
        return np.asarray(self.to_photo[:2, :2] @ np.stack([x, y]) + self.to_photo[:2, 2:])

    def slope_in_photo(self, slope: float) -> float:
        """Return the slope in the photo of a line that has `slope` in the mask."""
        across, down = self.to_photo[:2, :2] @ np.array([1.0, slope])
        return float(down / across)


def binarise(photo_HW: Grey, max_area: int = WORKING_AREA) -> BinarisedPhoto:
    """Shrink a photo to at most `max_area` pixels, threshold it against the local paper, level it
    and remove ruled lines."""
    height, width = photo_HW.shape
    scale = min(1.0, (max_area / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(photo_HW, size, interpolation=cv2.INTER_AREA), np.uint8)
    ink, rotation = _level(_threshold(small))
    shrink = np.diag([size[0] / width, size[1] / height, 1.0])
    to_photo = np.asarray(np.linalg.inv(rotation @ shrink), np.float64)
    return BinarisedPhoto(_remove_rules(ink), size[0] / width, to_photo)


def runs_down(photo_HW: Grey) -> bool:
    """Return whether lines seem to run up or down: columns of ink differ more than rows do."""
    ink_HW = binarise(photo_HW).ink_HW

    def unevenness(axis: int) -> float:
        profile = np.count_nonzero(ink_HW, axis=axis).astype(np.float64)
        return float(np.square(profile).mean() / max(profile.mean(), 1e-9) ** 2)

    return bool(ink_HW.any()) and unevenness(0) > unevenness(1)


def has_ink(grey_HW: Grey) -> bool:
    """Return whether something on the crop of a line is much darker than the paper around it."""
    darkness = cv2.subtract(estimate_background(grey_HW, max(8, grey_HW.shape[0])), grey_HW)
    return float(np.mean(darkness >= MIN_DARKNESS)) > MIN_INK


def estimate_background(grey_HW: Grey, max_stroke: int) -> Grey:
    """Return the paper below the ink: fill what is dark and narrower than `max_stroke` pixels."""
    shrink = max(1, min(max_stroke // 8, min(grey_HW.shape)))
    size = max(1, grey_HW.shape[1] // shrink), max(1, grey_HW.shape[0] // shrink)
    small = cv2.resize(grey_HW, size, interpolation=cv2.INTER_AREA)
    side = max_stroke // shrink | 1
    # Replicating the border keeps a dark strip of desk along the edge from counting as ink.
    padded = cv2.copyMakeBorder(small, side, side, side, side, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    closed = cv2.blur(closed[side:-side, side:-side], (3, 3))
    full = (grey_HW.shape[1], grey_HW.shape[0])
    return np.asarray(cv2.resize(closed, full, interpolation=cv2.INTER_LINEAR), np.uint8)


def _threshold(grey_HW: Grey) -> Mask:
    """Mark pixels that are darker than the local paper by half the darkness of typical ink."""
    blurred = np.asarray(cv2.GaussianBlur(grey_HW, (3, 3), 0), np.uint8)
    # Near a darker background, as at the edge of the sheet, pixels are compared with that one.
    background = estimate_background(blurred, 48)
    paper = np.asarray(cv2.erode(background, np.ones((EDGE_WIDTH, EDGE_WIDTH), np.uint8)), np.uint8)
    darkness = cv2.bitwise_not(np.asarray(cv2.divide(blurred, paper, scale=255), np.uint8))
    (brightness,) = quantiles(paper[::4, ::4], [0.9])
    darkness[paper < MIN_PAPER_BRIGHTNESS * brightness] = 0
    sample = np.asarray(darkness[::2, ::2], np.uint8)
    (middle,) = quantiles(sample, [0.5])
    (deviation,) = quantiles(np.abs(sample.astype(np.int16) - int(middle)).astype(np.uint8), [0.5])
    lowest = middle + max(255 * MIN_CONTRAST, 5 * (1.48 * deviation))
    inked = sample[sample > lowest]
    if not inked.size:
        return np.zeros_like(grey_HW)
    level = max(lowest, 0.5 * quantiles(inked, [0.8])[0])
    return np.asarray(cv2.threshold(darkness, level, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _level(ink_HW: Mask) -> tuple[Mask, Affine]:
    """Rotate a mask so that its lines are level; return it and the rotation."""
    height, width = ink_HW.shape
    rotation = np.eye(3)
    if not (angle := _skew_angle(ink_HW)):
        return ink_HW, rotation
    rotation[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    cosine, sine = np.abs(rotation[0, :2])
    new_width, new_height = (
        round(width * cosine + height * sine),
        round(width * sine + height * cosine),
    )
    rotation[:2, 2] += (new_width - width) / 2, (new_height - height) / 2
    rotated = cv2.warpAffine(ink_HW, rotation[:2], (new_width, new_height), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.threshold(rotated, 127, 255, cv2.THRESH_BINARY)[1], np.uint8), rotation


def _skew_angle(ink_HW: Mask) -> float:
    """Return the angle, in degrees and positive if lines fall, with the sharpest row profile."""
    y, x = np.nonzero(ink_HW)
    if len(y) < 50:
        return 0.0
    step = max(1, len(y) // 20_000)
    y, x = y[::step], x[::step]

    def sharpness(angle: float) -> float:
        rows = np.rint(y - x * np.tan(np.deg2rad(angle))).astype(np.int64)
        return float(np.square(np.bincount(rows - rows.min()), dtype=np.float64).sum())

    coarse = max(np.arange(-MAX_ANGLE, MAX_ANGLE + 0.5, 0.5).tolist(), key=sharpness)
    best = max((coarse + np.arange(-0.4, 0.5, 0.1)).tolist(), key=sharpness)
    return best if sharpness(best) > 1.1 * sharpness(0.0) else 0.0


def _remove_rules(ink_HW: Mask) -> Mask:
    """Remove long straight strokes along or across the page; letters that cross them stay whole."""
    height, width = ink_HW.shape
    ink = ink_HW
    stem = min(MAX_STEM_LENGTH, MAX_STEM_HEIGHT * height)
    for length in (max(24, MIN_RULE_LENGTH * width), max(24, stem, MIN_RULE_LENGTH * height)):
        ink = np.ascontiguousarray(_remove_horizontal_rules(ink, round(length)).T)
    return ink


def _remove_horizontal_rules(ink_HW: Mask, length: int) -> Mask:
    # Thickening by a pixel on both sides also catches rules that are not quite straight.
    thick = cv2.dilate(ink_HW, np.ones((3, 1), np.uint8))
    rules = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    if not rules.any():
        return ink_HW
    cleaned = cv2.bitwise_and(ink_HW, cv2.bitwise_not(rules))
    bridged = cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, np.ones((9, 1), np.uint8))
    return np.asarray(cv2.bitwise_or(cleaned, cv2.bitwise_and(bridged, ink_HW)), np.uint8)
