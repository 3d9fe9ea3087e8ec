"""Random distortions of training photos."""

from __future__ import annotations

import random

import albumentations as A
import cv2
import numpy as np

from netchu.imaging.images import Grey


class Augmenter:
    """Distorts photos with a given strength; the result depends on photo and seed alone.

    Args:
        strength: 0 returns photos unchanged; 1 is as bad as a blurred phone photo in poor light.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self._pipeline = _pipeline(strength)

    def __call__(self, image_HW: Grey, seed: int) -> Grey:
        """Return a distorted copy of a grey photo."""
        if self.strength <= 0:
            return image_HW
        # Not `set_random_seed`: it seeds each transform alike, so all would draw the same numbers.
        rng = np.random.default_rng(seed)
        self._pipeline.set_random_state(rng, random.Random(seed))
        changed = self._pipeline(image=_stroke_width(image_HW, rng, self.strength))
        return np.asarray(changed["image"], np.uint8)


def _stroke_width(image_HW: Grey, rng: np.random.Generator, strength: float) -> Grey:
    """Sometimes thicken or thin the strokes (ink is dark, so erosion thickens)."""
    draw = rng.random()
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2, 2))
    if draw < 0.25 * strength:
        return np.asarray(cv2.erode(image_HW, kernel), np.uint8)
    if draw < 0.4 * strength:
        return np.asarray(cv2.dilate(image_HW, kernel), np.uint8)
    return image_HW


def _pipeline(strength: float) -> A.Compose:
    d = max(strength, 1e-3)
    geometry = A.Affine(
        rotate=(-2 * d, 2 * d),
        shear={"x": (-18 * d, 18 * d), "y": (0, 0)},
        scale={"x": (1 - 0.15 * d, 1 + 0.15 * d), "y": (1 - 0.12 * d, 1 + 0.04 * d)},
        translate_percent={"x": (-0.01 * d, 0.01 * d), "y": (-0.06 * d, 0.06 * d)},
        border_mode=cv2.BORDER_REPLICATE,
        p=0.8,
    )
    bend = A.GridDistortion(
        num_steps=6, distort_limit=0.25 * d, border_mode=cv2.BORDER_REPLICATE, p=0.25 * d
    )
    light = A.RandomBrightnessContrast(brightness_limit=0.2 * d, contrast_limit=0.3 * d, p=0.5)
    camera = A.OneOf(
        [
            A.GaussianBlur(blur_limit=(3, 3)),
            A.GaussNoise(std_range=(0.01, 0.01 + 0.08 * d)),
            A.ImageCompression(quality_range=(max(20, int(90 - 60 * d)), 95)),
        ],
        p=0.4 * d,
    )
    return A.Compose([geometry, bend, light, camera])
