"""A photo of paper becomes its ink: even light, level lines, no ruled lines.

Works on a copy of at most `WORKING_AREA` pixels, on which handwriting is still 10 pixels high.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.imaging.images import Grey

Mask = NDArray[np.uint8]
"""HW, 255 or 0."""
Affine = NDArray[np.float64]
"""3×3; maps (x, y, 1)."""

WORKING_AREA = 1_200_000
STEEPEST = 10
"""Degrees by which writing may slope."""

FAINTEST = 0.1
"""Share of the paper's light that the faintest ink takes away."""
DESK = 0.3
"""Where the ground is darker than this share of the paper, it is no paper."""
EDGE = 25
"""Pixels that the change from a desk to the sheet of paper is wide at most."""
RULE = 1 / 6
"""Share of the page's width or height from which a straight stroke is a ruled line."""
STEM = 90
"""Pixels of the working copy that the straight part of a letter has at most."""
STEM_SHARE = 0.8
"""The same as a share of the photo's height, which one line may fill."""


@dataclass(frozen=True)
class Page:
    """The ink of a photo, turned so that lines lie level.

    ink_HW: a mask. scale: its pixels per pixel of the photo. to_photo: affine map, 3×3, of a
    pixel of the mask to one of the photo.
    """

    ink_HW: Mask
    scale: float
    to_photo: Affine

    def in_photo(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.float64]:
        """Pixels of the mask in the photo: x and y."""
        return np.asarray(self.to_photo[:2, :2] @ np.stack([x, y]) + self.to_photo[:2, 2:])

    def tilt(self, slope: float) -> float:
        """Slope in the photo, pixels fallen per pixel, of what has `slope` in the mask."""
        across, down = self.to_photo[:2, :2] @ np.array([1.0, slope])
        return float(down / across)


def find_ink(photo_HW: Grey) -> Page:
    """The ink of a photo: the shrunk copy's shades, its slope and its ruled lines taken out."""
    height, width = photo_HW.shape
    scale = min(1.0, (WORKING_AREA / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(photo_HW, size, interpolation=cv2.INTER_AREA), np.uint8)
    ink, turn = _level(_binarise(small))
    shrink = np.diag([size[0] / width, size[1] / height, 1.0])
    to_photo = np.asarray(np.linalg.inv(turn @ shrink), np.float64)
    return Page(_without_rules(ink), size[0] / width, to_photo)


def ground(grey_HW: Grey, reach: int) -> Grey:
    """The paper under the ink: what is dark and narrower than `reach` pixels is filled."""
    shrink = max(1, min(reach // 8, min(grey_HW.shape)))
    size = max(1, grey_HW.shape[1] // shrink), max(1, grey_HW.shape[0] // shrink)
    small = cv2.resize(grey_HW, size, interpolation=cv2.INTER_AREA)
    side = reach // shrink | 1
    # What is dark along the photo's edge goes on beyond it: a strip of desk is no ink.
    wide = cv2.copyMakeBorder(small, side, side, side, side, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    closed = cv2.blur(closed[side:-side, side:-side], (3, 3))
    full = (grey_HW.shape[1], grey_HW.shape[0])
    return np.asarray(cv2.resize(closed, full, interpolation=cv2.INTER_LINEAR), np.uint8)


def _binarise(grey_HW: Grey) -> Mask:
    """Ink as 255: what is darker than the paper around it by half as much as the ink mostly is."""
    soft = np.asarray(cv2.GaussianBlur(grey_HW, (3, 3), 0), np.uint8)
    # Within reach of a darker ground, as at the sheet's edge, that ground is what counts.
    paper = np.asarray(cv2.erode(ground(soft, 48), np.ones((EDGE, EDGE), np.uint8)), np.uint8)
    darkness = cv2.bitwise_not(np.asarray(cv2.divide(soft, paper, scale=255), np.uint8))
    darkness[paper < DESK * np.percentile(paper[::4, ::4], 90)] = 0
    sample = darkness[::2, ::2]
    noise = 1.48 * float(np.median(np.abs(sample.astype(np.int16) - int(np.median(sample)))))
    faintest = float(np.median(sample)) + max(255 * FAINTEST, 5 * noise)
    inked = sample[sample > faintest]
    if not inked.size:
        return np.zeros_like(grey_HW)
    level = max(faintest, 0.5 * float(np.percentile(inked, 80)))
    return np.asarray(cv2.threshold(darkness, level, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _level(ink_HW: Mask) -> tuple[Mask, Affine]:
    """Turn a mask until its lines lie level; returns the map that did it as well."""
    height, width = ink_HW.shape
    turn = np.eye(3)
    if not (angle := _slope(ink_HW)):
        return ink_HW, turn
    turn[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    cosine, sine = np.abs(turn[0, :2])
    wide, high = round(width * cosine + height * sine), round(width * sine + height * cosine)
    turn[:2, 2] += (wide - width) / 2, (high - height) / 2
    turned = cv2.warpAffine(ink_HW, turn[:2], (wide, high), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.threshold(turned, 127, 255, cv2.THRESH_BINARY)[1], np.uint8), turn


def _slope(ink_HW: Mask) -> float:
    """Degrees, falling positive, at which the rows of ink are most unlike each other."""
    y, x = np.nonzero(ink_HW)
    if len(y) < 50:
        return 0.0
    step = max(1, len(y) // 20_000)
    y, x = y[::step], x[::step]

    def contrast(angle: float) -> float:
        rows = np.rint(y - x * np.tan(np.deg2rad(angle))).astype(np.int64)
        return float(np.square(np.bincount(rows - rows.min()), dtype=np.float64).sum())

    coarse = max(np.arange(-STEEPEST, STEEPEST + 0.5, 0.5).tolist(), key=contrast)
    best = max((coarse + np.arange(-0.4, 0.5, 0.1)).tolist(), key=contrast)
    return best if contrast(best) > 1.1 * contrast(0.0) else 0.0


def _without_rules(ink_HW: Mask) -> Mask:
    """Take out straight strokes along or across the page; letters that cross them stay whole."""
    height, width = ink_HW.shape
    ink = ink_HW
    stem = min(STEM, STEM_SHARE * height)
    for length in (max(24, RULE * width), max(24, stem, RULE * height)):
        ink = np.ascontiguousarray(_without_level_rules(ink, round(length)).T)
    return ink


def _without_level_rules(ink_HW: Mask, length: int) -> Mask:
    # A rule that is not quite straight is still one when thickened by a pixel on both sides.
    thick = cv2.dilate(ink_HW, np.ones((3, 1), np.uint8))
    rules = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    if not rules.any():
        return ink_HW
    cleaned = cv2.bitwise_and(ink_HW, cv2.bitwise_not(rules))
    bridged = cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, np.ones((9, 1), np.uint8))
    return np.asarray(cv2.bitwise_or(cleaned, cv2.bitwise_and(bridged, ink_HW)), np.uint8)
