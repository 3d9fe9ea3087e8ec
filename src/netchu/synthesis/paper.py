"""Simulate the photo of a line on paper: margins, paper, print, ink, light and camera.

All effects grow with one number, the distortion: 0 is black ink on white paper, 1 is as bad as a
phone photo.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from netchu.core.errors import NetchuError
from netchu.imaging.images import Grey
from netchu.imaging.strokes import Ink
from netchu.synthesis.fields import (
    Field,
    blur_field,
    grid_points,
    resize_field,
    smooth_noise,
    white_noise,
)
from netchu.synthesis.forms import print_form

MIN_INK_HEIGHT = 0.58
"""Ink lower than this share of a line (a word without marks or descenders) is not enlarged."""

INK_CONTRAST = 12
"""Grey levels below the paper from which a pixel counts as ink."""

SHRINK = 4
"""Paper textures are stored at this fraction of the line's size."""


@dataclass(frozen=True)
class PaperTextures:
    """Backgrounds taken from real photos, with the ink removed.

    Args:
        textures: brightness of each paper at a quarter of the size, HW.
        grains: standard deviation of the noise on each, in grey levels.
    """

    textures: tuple[Grey, ...]
    grains: tuple[float, ...]

    @classmethod
    def from_photos(cls, photos: Iterable[Grey], height: int, count: int = 200) -> PaperTextures:
        """Extract the paper of the first `count` photos, for lines `height` pixels high.

        Raises:
            NetchuError: there are no photos.
        """
        extracted = [_remove_ink(photo, height) for photo in islice(photos, count)]
        if not extracted:
            raise NetchuError("there are no photos to take paper from; check papers and datasets")
        textures, grains = zip(*extracted, strict=True)
        return cls(textures, grains)

    def sample(self, height: int, width: int, rng: np.random.Generator) -> tuple[Field, float]:
        """Return a random crop of a paper, flipped and resized, and the strength of its grain."""
        number = int(rng.integers(len(self.textures)))
        paper = self.textures[number][:: rng.choice((1, -1)), :: rng.choice((1, -1))]
        wanted = max(2, round(width / SHRINK * rng.uniform(0.5, 1.0)))
        while paper.shape[1] < wanted:
            paper = np.hstack([paper, paper[:, ::-1]])
        start = int(rng.integers(paper.shape[1] - wanted + 1))
        crop = paper[:, start : start + wanted].astype(np.float32)
        return resize_field(crop, height, width), self.grains[number]


def _remove_ink(photo_HW: Grey, height: int) -> tuple[Grey, float]:
    """Return the paper under the ink at a quarter of `height`, and the strength of its grain.

    Morphological closing removes what is dark and smaller than its kernel: words and printed lines.
    """
    width = max(SHRINK, round(photo_HW.shape[1] * height / photo_HW.shape[0]))
    photo = resize_field(photo_HW.astype(np.float32), height, width)
    # Without the blur the closing would keep the brightest grain instead of the paper.
    smooth = blur_field(photo, height / 40)
    kernel = np.ones((height // 3, height // 2), np.uint8)
    closed = np.asarray(cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, kernel), np.float32)
    blank = closed - smooth < INK_CONTRAST
    grain = 1.48 * float(np.median(np.abs(photo - smooth)[blank])) if blank.any() else 0.0
    rows, columns = max(1, height // SHRINK), width // SHRINK
    paper = resize_field(blur_field(closed, height / 8), rows, columns)
    return np.asarray(np.rint(paper), np.uint8), grain


@dataclass(frozen=True)
class InkStyle:
    """How a pen's ink looks on paper.

    Args:
        opacity: lightest and darkest, from 0 to 1.
        pressure: how uneven the opacity is along the line.
        grain: how strongly the texture of the paper shows.
    """

    opacity: tuple[float, float]
    pressure: float
    grain: float


BLACK_INK = InkStyle((0.7, 0.95), 0.12, 0.0)
BLUE_INK = InkStyle((0.4, 0.65), 0.06, 0.0)
PENCIL = InkStyle((0.25, 0.5), 0.2, 0.45)
INK_STYLES = (BLACK_INK, BLUE_INK, PENCIL)


def simulate_photo(
    ink_HW: Ink,
    height: int,
    rng: np.random.Generator,
    distortion: float,
    textures: PaperTextures | None = None,
) -> Grey:
    """Return a photo of a line of ink; its width follows from the ink.

    Args:
        ink_HW: the ink, at about the scale of a line of this height.
        height: height of the photo, pixels.
        rng: source of randomness.
        distortion: from 0 (black on white) to 1 (a bad phone photo).
        textures: papers to use beside generated ones.
    """
    framed = _add_margins(ink_HW, height, rng, distortion)
    page = _make_page(framed.shape[0], framed.shape[1], rng, distortion, textures)
    if rng.random() < 0.9 * distortion:
        print_form(page, int(np.flatnonzero(framed.max(axis=0) > 0).max(initial=0)), rng)
    if rng.random() < 0.3 * distortion:
        _add_neighbouring_lines(framed, rng)
    _apply_ink(page, framed, rng, distortion)
    return _simulate_camera(page, rng, distortion)


def _add_margins(ink_HW: Ink, height: int, rng: np.random.Generator, distortion: float) -> Ink:
    """Scale the ink to the line and add margins; now and then the crop cuts off a little."""
    ink_height, ink_width = ink_HW.shape
    widest = np.array([0.25, 0.22, 0.4, 0.4]) * (0.25 + 0.75 * distortion)
    top, bottom, left, right = (int(m) for m in rng.uniform(0.02, widest) * height)
    if rng.random() < 0.15 * distortion:
        right += int(rng.exponential(1.5) * height)
    if rng.random() < 0.08 * distortion:
        top, bottom = (int(m) for m in rng.permutation([-0.06 * height, bottom]))
    inner = max(8, height - top - bottom)
    scale = inner / max(ink_height, MIN_INK_HEIGHT * height)
    width = max(4, round(ink_width * scale * np.exp(rng.normal(0.0, 0.1 * distortion))))
    scaled_height = max(4, round(ink_height * scale))
    scaled = resize_field(ink_HW, scaled_height, width)
    framed = np.zeros((height, left + width + right), np.float32)
    first = top + int(rng.integers(0, max(0, inner - scaled_height) + 1))
    visible = scaled[max(0, -first) : height - first]
    framed[max(0, first) : max(0, first) + len(visible), left : left + width] = visible
    return framed


def _make_page(
    height: int,
    width: int,
    rng: np.random.Generator,
    distortion: float,
    textures: PaperTextures | None,
) -> Field:
    """Return blank paper in grey levels: from a photo, or with tint, shade, texture and shadow."""
    if textures and rng.random() < 1.5 * distortion:
        page, grain = textures.sample(height, width, rng)
        return page + white_noise(height, width, rng) * np.float32(grain)
    rows, columns = grid_points(height), grid_points(width)
    shade = smooth_noise(rows, columns, 1.0, rng) * np.float32(8 * distortion * rng.random())
    shade += np.linspace(-1, 1, columns, dtype=np.float32) * rng.normal(0, 12 * distortion)
    if rng.random() < 0.25 * distortion:
        shade -= _shadow(rows, columns, rng, distortion)
    page = resize_field(shade + np.float32(255 - rng.uniform(0, 80) * distortion), height, width)
    texture = cv2.blur(white_noise(height, width, rng), (3, 3))
    page += texture * np.float32(rng.uniform(0, 6) * distortion)
    return page


def _shadow(rows: int, columns: int, rng: np.random.Generator, distortion: float) -> Field:
    """Return the soft shadow of a hand or phone over one side of the page, on the coarse grid."""
    lean = rng.normal(0, 0.6)
    edge = rng.uniform(0, columns)
    x = np.arange(columns, dtype=np.float32)[None] + lean * np.arange(rows)[:, None] - edge
    softness = rng.uniform(0.3, 4.0) * rng.choice((-1, 1))
    depth = rng.uniform(10, 70) * distortion
    return np.asarray(depth * (0.5 + 0.5 * np.tanh(x / softness)), np.float32)


def _add_neighbouring_lines(framed_HW: Ink, rng: np.random.Generator) -> None:
    """Add, in place, parts of the line above or below: a strip of this line, shifted sideways."""
    height, width = framed_HW.shape
    rows = np.flatnonzero(framed_HW.max(axis=1) > 0.25)
    if not len(rows):
        return
    depth = max(1, int(height * rng.uniform(0.03, 0.12)))
    offset = int(rng.integers(width))
    if rng.random() < 0.7:
        strip = np.roll(framed_HW[rows[-1] + 1 - depth : rows[-1] + 1], offset, axis=1)
        np.maximum(framed_HW[: len(strip)], strip, out=framed_HW[: len(strip)])
    else:
        strip = np.roll(framed_HW[rows[0] : rows[0] + depth], offset, axis=1)
        np.maximum(framed_HW[-len(strip) :], strip, out=framed_HW[-len(strip) :])


def _apply_ink(page_HW: Field, ink_HW: Ink, rng: np.random.Generator, distortion: float) -> None:
    """Darken the page in place where there is ink: black, blue or pencil, unevenly pressed."""
    height, width = page_HW.shape
    chances = np.array([1 - 0.6 * distortion, 0.35 * distortion, 0.25 * distortion])
    style = INK_STYLES[int(rng.choice(len(INK_STYLES), p=chances))]
    if style is PENCIL:  # light and grainy in a good photo, too
        distortion = float(np.sqrt(distortion))
    opacity = 0.9 + distortion * (rng.uniform(*style.opacity) - 0.9)
    rows, columns = grid_points(height), grid_points(width)
    pressure = 1 + style.pressure * distortion * smooth_noise(rows, columns, 1.5, rng)
    layer = ink_HW * resize_field(np.float32(opacity) * pressure, height, width)
    if style.grain:
        grain = cv2.blur(white_noise(height, width, rng), (2, 2))
        layer *= 1 + grain * np.float32(2 * style.grain * distortion)
    np.clip(layer, 0, 0.95, out=layer)
    page_HW *= 1 - layer


def _simulate_camera(scene_HW: Field, rng: np.random.Generator, distortion: float) -> Grey:
    """Apply low resolution, defocus, sensor noise, sharpening and wrong exposure."""
    height, width = scene_HW.shape
    photo = scene_HW
    if rng.random() < 0.3 * distortion:
        share = rng.uniform(0.5, 0.9)
        small = max(4, int(height * share)), max(4, int(width * share))
        photo = resize_field(resize_field(photo, *small), height, width)
    if (sigma := rng.uniform(0, 1.0) * distortion) > 0.3:
        photo = blur_field(photo, sigma)
    photo = photo + white_noise(height, width, rng) * np.float32(rng.exponential(3) * distortion)
    if rng.random() < 0.3 * distortion:  # sharpening, which leaves halos around the strokes
        photo += np.float32(rng.uniform(0.5, 2)) * (photo - blur_field(photo, 1.5))
    if rng.random() < 0.35 * distortion:
        photo = _change_exposure(photo, rng)
    return np.asarray(np.clip(photo, 0, 255), np.uint8)


def _change_exposure(photo_HW: Field, rng: np.random.Generator) -> Field:
    """Overexpose, or stretch the contrast to nearly black and white; ink stays visible."""
    ink, paper = np.percentile(photo_HW[::3, ::3], (2, 50))
    black = ink * rng.uniform(0.0, 1.0)
    white = paper + (paper - ink) * rng.uniform(-0.4, 0.3)
    return (photo_HW - np.float32(black)) * np.float32(255 / max(white - black, 32))
