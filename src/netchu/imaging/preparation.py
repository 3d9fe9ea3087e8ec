"""From a grey photo to what a network reads.

Training, evaluation and inference all call `prepare`, so a model reads images that are made in the
same way as those it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.imaging.images import Grey, quantiles

Prepared = NDArray[np.float32]
"""Input of a network, of shape HW: 0 is paper, 1 is ink."""

_ROOM = 1.5
"""Height of the photos that are distorted in training, as a multiple of that of the images."""

WIDTH_STEP = 32
"""Prepared widths are multiples of this many pixels, padded with paper on the right.

All lines of a batch have the same width, so the padding of a line depends on that line alone.
"""


@dataclass(frozen=True)
class Preprocessing:
    """How `prepare` turns a photo into the input of a network.

    Attributes:
        variant: `grey` keeps grey values (netchu_small, effnet_seq2seq, deepseek_ocr).
            `otsu` denoises, applies Otsu's threshold and smooths the contours, as the source
            project of crnn_vgg does. `adaptive` blurs and applies an adaptive threshold, as the
            source project of crnn_residual does. `square` resizes to height × height without
            keeping the aspect ratio (trocr).
        height: pixels after resizing.
        max_width: pixels, a multiple of `WIDTH_STEP`, to which longer lines are squeezed; 0 sets no
            limit.
    """

    variant: Literal["grey", "otsu", "adaptive", "square"]
    height: int
    max_width: int = 0


def prepared_width(width: int, height: int, how: Preprocessing) -> int:
    """Return the width in pixels that `prepare` gives a photo of `width` × `height`."""
    if how.variant == "square":
        return how.height
    return -(-_resized_width(width, height, how) // WIDTH_STEP) * WIDTH_STEP


def _resized_width(width: int, height: int, how: Preprocessing) -> int:
    if how.variant == "square":
        return how.height
    natural = _natural_width(width, height, how)
    return min(natural, how.max_width) if how.max_width else natural


def _natural_width(width: int, height: int, how: Preprocessing) -> int:
    return max(1, round(width * how.height / height))


def shrunk_size(width: int, height: int, how: Preprocessing) -> tuple[int, int]:
    """Return the width and height of a photo with hardly more pixels than `prepare` needs.

    Training distorts photos of this size: distortions are measured in pixels, and take time by the
    pixel. Its prepared width is that of the photo. Photos that are low enough keep their size.
    """
    limit = round(_ROOM * how.height)
    if height <= limit:
        return width, height
    # Rounded as `prepare` rounds it, or a line would not have the width of its batch.
    return round(_natural_width(width, height, how) * limit / how.height), limit


def shrink(image_HW: Grey, size: tuple[int, int]) -> Grey:
    """Return a photo resized to a width and height, from `shrunk_size`."""
    if image_HW.shape[::-1] == size:
        return image_HW
    # Means over areas take seven times as long, and differ little where less than half is left out.
    interpolation = cv2.INTER_AREA if image_HW.shape[0] > 2 * size[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image_HW, size, interpolation=interpolation), np.uint8)


def prepare(image_HW: Grey, how: Preprocessing) -> Prepared:
    """Resize, clean and pad a grey photo.

    Returns:
        float32 of shape (how.height, prepared_width(...)): 0 is paper, 1 is ink, so padding with
        zeros is padding with paper.
    """
    width = _resized_width(image_HW.shape[1], image_HW.shape[0], how)
    shrinks = image_HW.shape[0] > how.height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.asarray(
        cv2.resize(image_HW, (width, how.height), interpolation=interpolation), np.uint8
    )
    match how.variant:
        case "otsu":
            ink_HW = _otsu(resized)
        case "adaptive":
            ink_HW = _adaptive(resized)
        case "grey" | "square":
            ink_HW = _stretch(resized)
    padded_HW = np.zeros(
        (how.height, prepared_width(image_HW.shape[1], image_HW.shape[0], how)), np.float32
    )
    padded_HW[:, :width] = ink_HW
    return padded_HW


def _stretch(image_HW: Grey) -> Prepared:
    """Stretch contrast linearly: the median (paper) becomes 0, the 0.5th percentile (ink) 1."""
    darkest, paper = quantiles(image_HW, (0.005, 0.5))
    ink = min(darkest, paper - 32.0)
    # Of each of the 256 grey values once, which takes an eighth of the time of all pixels.
    scaled = (paper - np.arange(256, dtype=np.float32)) / (paper - ink)
    return np.asarray(cv2.LUT(image_HW, np.clip(scaled, 0, 1)), np.float32)


def _otsu(image_HW: Grey) -> Prepared:
    """Remove noise, binarise by Otsu's threshold, remove specks, smooth the contours."""
    denoised = cv2.medianBlur(image_HW, 3) if min(image_HW.shape) >= 48 else image_HW
    _, ink = cv2.threshold(denoised, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= 3
    kept[0] = False
    cleaned = np.where(kept[labels], 255, 0).astype(np.uint8)
    smooth = cv2.GaussianBlur(cleaned, (3, 3), 0)
    return np.asarray(smooth, np.float32) / np.float32(255)


def _adaptive(image_HW: Grey) -> Prepared:
    """Blur (Gaussian, 5×5) and binarise (adaptive Gaussian threshold, block 11, constant 4)."""
    blurred = cv2.GaussianBlur(image_HW, (5, 5), 0)
    ink = cv2.adaptiveThreshold(
        blurred, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV, 11, 4
    )
    return np.asarray(ink, np.float32) / np.float32(255)
