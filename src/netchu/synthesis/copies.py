"""Distorted copies of training lines: the same handwriting in another photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from netchu.core.errors import NetchuError
from netchu.data.line_table import Line
from netchu.imaging.images import Grey, decode
from netchu.synthesis.base import GeneratedLine, line_rng_and_id

if TYPE_CHECKING:
    from netchu.imaging.augmentation import Augmenter

QUALITY = 95
"""JPEG quality; stronger compression is one of the distortions."""


@dataclass(frozen=True)
class CopyGenerator:
    """Copies training lines one after the other, again and again.

    Args:
        dataset: name of the synthetic dataset.
        seed: random seed.
        lines: the lines to copy.
        height: height of the copies, pixels.
        distortion: from 0 (none) to 1 (a shaky phone in bad light).
        binarised: share of the copies that are black and white.

    Raises:
        NetchuError: there are no lines, or one is not of the training split.
    """

    dataset: str
    seed: int
    lines: Sequence[Line]
    height: int
    distortion: float
    binarised: float = 0.0

    def __post_init__(self) -> None:
        if not self.lines:
            raise NetchuError(
                f"{self.dataset}: there are no training lines to copy; check datasets and levels"
            )
        if held_out := next((line for line in self.lines if line.split != "train"), None):
            raise NetchuError(
                f"{self.dataset}: line {held_out.id} is of split {held_out.split!r}; copy "
                "training lines only"
            )

    @property
    def text_counts(self) -> Mapping[str, int]:
        """Return nothing: copies have the texts of their lines."""
        return {}

    def generate(self, index: int) -> GeneratedLine:
        """Return copy number `index`."""
        rng, name = line_rng_and_id(self.seed, self.dataset, index)
        original = self.lines[index % len(self.lines)]
        image = decode(original.image, f"line {original.id}")
        width = max(1, round(image.shape[1] * self.height / image.shape[0]))
        interpolation = cv2.INTER_AREA if image.shape[0] > self.height else cv2.INTER_LINEAR
        resized = cv2.resize(image, (width, self.height), interpolation=interpolation)
        seed = int(rng.integers(2**31))
        copy = _augmenter(self.distortion)(np.asarray(resized, np.uint8), seed)
        if rng.random() < self.binarised:
            copy = _binarise(copy)
        _, encoded = cv2.imencode(".jpg", copy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        line = replace(
            original,
            id=name,
            image=encoded.tobytes(),
            source=self.dataset,
            width=copy.shape[1],
            height=copy.shape[0],
        )
        return GeneratedLine(line)


def _binarise(image_HW: Grey) -> Grey:
    """Return what a scanner in black and white makes of a photo, by Otsu's threshold.

    Scans have more pixels than lines are prepared with, so edges are those of an image of twice the
    size, averaged.
    """
    height, width = image_HW.shape
    larger = cv2.resize(image_HW, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    _, black_and_white = cv2.threshold(larger, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    smaller = cv2.resize(black_and_white, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)


@cache
def _augmenter(distortion: float) -> Augmenter:
    # Importing albumentations takes seconds, which other generators save.
    from netchu.imaging.augmentation import Augmenter

    return Augmenter(distortion)
