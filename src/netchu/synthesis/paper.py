"""Ink becomes the photo of a line on paper: margins, paper, print, pen, light and camera.

All intensities grow with one number, the distortion: 0 is black ink on white paper, 1 is as bad
as a phone photo.
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
from netchu.synthesis.fields import Field, blurred, coarse, noise, resized, waves
from netchu.synthesis.forms import print_form

LOWEST = 0.58
"""Ink lower than this share of a line (a word without marks or tails) is not blown up."""

INKED = 12
"""Grey levels below the paper: what is darker is ink."""


@dataclass(frozen=True)
class Sheets:
    """Papers of real photos, their ink removed.

    papers: brightness at a quarter of the size, uint8. grains: standard deviation of the noise on
    each, in grey levels.
    """

    papers: tuple[Grey, ...]
    grains: tuple[float, ...]

    SHRINK = 4

    @classmethod
    def from_photos(cls, photos: Iterable[Grey], height: int, count: int = 200) -> Sheets:
        """The papers of the first `count` photos, as seen in lines `height` pixels high.

        Raises:
            NetchuError: there are no photos.
        """
        taken = [_blank(photo, height) for photo in islice(photos, count)]
        if not taken:
            raise NetchuError("there are no photos to take paper from; check papers and datasets")
        return cls(tuple(paper for paper, _ in taken), tuple(grain for _, grain in taken))

    def lend(self, height: int, width: int, rng: np.random.Generator) -> tuple[Field, float]:
        """A piece of a paper, mirrored and stretched to the size, and the strength of its grain."""
        place = int(rng.integers(len(self.papers)))
        paper = self.papers[place][:: rng.choice((1, -1)), :: rng.choice((1, -1))]
        wanted = max(2, round(width / self.SHRINK * rng.uniform(0.5, 1.0)))
        while paper.shape[1] < wanted:
            paper = np.hstack([paper, paper[:, ::-1]])
        start = int(rng.integers(paper.shape[1] - wanted + 1))
        piece = paper[:, start : start + wanted].astype(np.float32)
        return resized(piece, height, width), self.grains[place]


def _blank(photo_HW: Grey, height: int) -> tuple[Grey, float]:
    """The paper under the ink at a quarter of `height`, and the strength of its grain.

    Closing takes away what is dark and smaller than its kernel: words and printed lines.
    """
    width = max(Sheets.SHRINK, round(photo_HW.shape[1] * height / photo_HW.shape[0]))
    photo = resized(photo_HW.astype(np.float32), height, width)
    # Without the blur closing would take the brightest grain for the paper.
    soft = blurred(photo, height / 40)
    kernel = np.ones((height // 3, height // 2), np.uint8)
    closed = np.asarray(cv2.morphologyEx(soft, cv2.MORPH_CLOSE, kernel), np.float32)
    blank = closed - soft < INKED
    grain = 1.48 * float(np.median(np.abs(photo - soft)[blank])) if blank.any() else 0.0
    rows, columns = max(1, height // Sheets.SHRINK), width // Sheets.SHRINK
    paper = resized(blurred(closed, height / 8), rows, columns)
    return np.asarray(np.rint(paper), np.uint8), grain


@dataclass(frozen=True)
class Pen:
    """opacity: lightest and darkest. pressure: how uneven. grain: how much the paper shows."""

    opacity: tuple[float, float]
    pressure: float
    grain: float


BLACK = Pen((0.7, 0.95), 0.12, 0.0)
BLUE = Pen((0.4, 0.65), 0.06, 0.0)
PENCIL = Pen((0.3, 0.55), 0.15, 0.35)
PENS = (BLACK, BLUE, PENCIL)


def photograph(
    ink_HW: Ink,
    height: int,
    rng: np.random.Generator,
    distortion: float,
    sheets: Sheets | None = None,
) -> Grey:
    """The photo of a line of ink, `height` pixels high; its width follows from the ink.

    ink_HW: at about the scale of such a line. sheets: papers to write on, beside drawn ones.
    """
    framed = _frame(ink_HW, height, rng, distortion)
    page = _page(framed.shape[0], framed.shape[1], rng, distortion, sheets)
    if rng.random() < 0.9 * distortion:
        print_form(page, int(np.flatnonzero(framed.max(axis=0) > 0).max(initial=0)), rng)
    if rng.random() < 0.3 * distortion:
        _neighbours(framed, rng)
    _write_on(page, framed, rng, distortion)
    return _shoot(page, rng, distortion)


def _frame(ink_HW: Ink, height: int, rng: np.random.Generator, distortion: float) -> Ink:
    """Scale the ink to a line and set margins around it; at times the crop cuts a little off."""
    tall, wide = ink_HW.shape
    widest = np.array([0.25, 0.22, 0.4, 0.4]) * (0.25 + 0.75 * distortion)
    top, bottom, left, right = (int(m) for m in rng.uniform(0.02, widest) * height)
    if rng.random() < 0.15 * distortion:
        right += int(rng.exponential(1.5) * height)
    if rng.random() < 0.08 * distortion:
        top, bottom = (int(m) for m in rng.permutation([-0.06 * height, bottom]))
    inner = max(8, height - top - bottom)
    scale = inner / max(tall, LOWEST * height)
    width = max(4, round(wide * scale * np.exp(rng.normal(0.0, 0.1 * distortion))))
    high = max(4, round(tall * scale))
    small = resized(ink_HW, high, width)
    framed = np.zeros((height, left + width + right), np.float32)
    first = top + int(rng.integers(0, max(0, inner - high) + 1))
    seen = small[max(0, -first) : height - first]
    framed[max(0, first) : max(0, first) + len(seen), left : left + width] = seen
    return framed


def _page(
    height: int,
    width: int,
    rng: np.random.Generator,
    distortion: float,
    sheets: Sheets | None,
) -> Field:
    """Paper without ink, in grey levels: of a photo, or with tint, shade, texture and shadow."""
    if sheets and rng.random() < 1.5 * distortion:
        page, grain = sheets.lend(height, width, rng)
        return page + noise(height, width, rng) * np.float32(grain)
    rows, columns = coarse(height), coarse(width)
    field = waves(rows, columns, 1.0, rng) * np.float32(8 * distortion * rng.random())
    field += np.linspace(-1, 1, columns, dtype=np.float32) * rng.normal(0, 12 * distortion)
    if rng.random() < 0.25 * distortion:
        field -= _shadow(rows, columns, rng, distortion)
    page = resized(field + np.float32(255 - rng.uniform(0, 80) * distortion), height, width)
    texture = cv2.blur(noise(height, width, rng), (3, 3))
    page += texture * np.float32(rng.uniform(0, 6) * distortion)
    return page


def _shadow(rows: int, columns: int, rng: np.random.Generator, distortion: float) -> Field:
    """A hand's or a phone's soft-edged shadow over one side of the page, coarse."""
    lean = rng.normal(0, 0.6)
    edge = rng.uniform(0, columns)
    x = np.arange(columns, dtype=np.float32)[None] + lean * np.arange(rows)[:, None] - edge
    softness = rng.uniform(0.3, 4.0) * rng.choice((-1, 1))
    depth = rng.uniform(10, 70) * distortion
    return np.asarray(depth * (0.5 + 0.5 * np.tanh(x / softness)), np.float32)


def _neighbours(framed_HW: Ink, rng: np.random.Generator) -> None:
    """Tails of the line above or marks of the line below peep in: this line's own, displaced."""
    height, width = framed_HW.shape
    rows = np.flatnonzero(framed_HW.max(axis=1) > 0.25)
    if not len(rows):
        return
    depth = max(1, int(height * rng.uniform(0.03, 0.12)))
    moved = int(rng.integers(width))
    if rng.random() < 0.7:
        strip = np.roll(framed_HW[rows[-1] + 1 - depth : rows[-1] + 1], moved, axis=1)
        np.maximum(framed_HW[: len(strip)], strip, out=framed_HW[: len(strip)])
    else:
        strip = np.roll(framed_HW[rows[0] : rows[0] + depth], moved, axis=1)
        np.maximum(framed_HW[-len(strip) :], strip, out=framed_HW[-len(strip) :])


def _write_on(page_HW: Field, ink_HW: Ink, rng: np.random.Generator, distortion: float) -> None:
    """Lay the ink on the page: black, blue or pencil, pressed unevenly."""
    height, width = page_HW.shape
    chances = np.array([1 - 0.6 * distortion, 0.35 * distortion, 0.25 * distortion])
    pen = PENS[int(rng.choice(len(PENS), p=chances))]
    opacity = 0.9 + distortion * (rng.uniform(*pen.opacity) - 0.9)
    pressure = 1 + pen.pressure * distortion * waves(coarse(height), coarse(width), 1.5, rng)
    layer = ink_HW * resized(np.float32(opacity) * pressure, height, width)
    if pen.grain:
        grain = cv2.blur(noise(height, width, rng), (2, 2))
        layer *= 1 + grain * np.float32(2 * pen.grain * distortion)
    np.clip(layer, 0, 0.95, out=layer)
    page_HW *= 1 - layer


def _shoot(scene_HW: Field, rng: np.random.Generator, distortion: float) -> Grey:
    """Lens, sensor and the phone's own retouching."""
    height, width = scene_HW.shape
    photo = scene_HW
    if rng.random() < 0.3 * distortion:
        share = rng.uniform(0.5, 0.9)
        small = max(4, int(height * share)), max(4, int(width * share))
        photo = resized(resized(photo, *small), height, width)
    if (sigma := rng.uniform(0, 1.0) * distortion) > 0.3:
        photo = blurred(photo, sigma)
    photo = photo + noise(height, width, rng) * np.float32(rng.exponential(3) * distortion)
    if rng.random() < 0.3 * distortion:  # sharpened, which leaves halos around the strokes
        photo += np.float32(rng.uniform(0.5, 2)) * (photo - blurred(photo, 1.5))
    if rng.random() < 0.35 * distortion:
        photo = _expose(photo, rng)
    return np.asarray(np.clip(photo, 0, 255), np.uint8)


def _expose(photo_HW: Field, rng: np.random.Generator) -> Field:
    """Overexposed, or a scan made almost black and white; ink and paper stay apart."""
    ink, paper = np.percentile(photo_HW[::3, ::3], (2, 50))
    black = ink * rng.uniform(0.0, 1.0)
    white = paper + (paper - ink) * rng.uniform(-0.4, 0.3)
    return (photo_HW - np.float32(black)) * np.float32(255 / max(white - black, 32))
