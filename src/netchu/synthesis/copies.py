"""Distorted copies of training lines: what the hand wrote stays, the photo is another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from netchu.core.errors import NetchuError
from netchu.data.line_table import Line
from netchu.imaging.images import decode

if TYPE_CHECKING:
    from netchu.imaging.augmentation import Augmenter

QUALITY = 95
"""Of the JPEG; a photo that is compressed worse is one of the distortions."""


class Copies:
    """Training lines, each of which is copied in turn.

    Raises:
        NetchuError: there are no lines, or one is held out from training.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        if not lines:
            raise NetchuError("there are no training lines to copy; check datasets and levels")
        if held_out := [line for line in lines if line.split != "train"]:
            raise NetchuError(
                f"line {held_out[0].id} is not for training and may not be copied "
                f"(split {held_out[0].split!r})"
            )
        self._lines = lines

    def draw(
        self, index: int, rng: np.random.Generator, name: str, distortion: float, height: int
    ) -> Line:
        """Copy number `index`, `height` pixels high; `name` is `<kind>-<index>`.

        distortion: 0 copies without distortion, 1 is a shaky phone in bad light.
        """
        original = self._lines[index % len(self._lines)]
        image = decode(original.image, f"line {original.id}")
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        interpolation = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
        resized = cv2.resize(image, (width, height), interpolation=interpolation)
        seed = int(rng.integers(2**31))
        copy = _augmenter(distortion)(np.asarray(resized, np.uint8), seed)
        _, encoded = cv2.imencode(".jpg", copy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return replace(
            original,
            id=name,
            image=encoded.tobytes(),
            source=name.rsplit("-", 1)[0],
            width=copy.shape[1],
            height=copy.shape[0],
        )


@cache
def _augmenter(distortion: float) -> Augmenter:
    from netchu.imaging.augmentation import (
        Augmenter,  # takes seconds, and other kinds of lines do without
    )

    return Augmenter(distortion)
