"""A font and a text become a photo of a handwritten line, by Pillow and OpenCV.

Everything that makes a line look written and photographed (jitter of the baseline, slant, pen
width, elastic distortion, shadow, blur, noise) grows with one number, the difficulty.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from netchu.images import Grey

Ink = NDArray[np.float32]
"""How much ink lies on each pixel, HW, 0 … 1."""

EM = 0.72
"""Font size in line heights: a line with marks above and tails below then fills the height."""


@lru_cache(maxsize=256)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


def render(text: str, font: Path, height: int, rng: np.random.Generator, difficulty: float) -> Grey:
    """Draw `text` as one line, `height` pixels high; width follows from the text.

    difficulty: 0 is a clean print of the font, 1 as bad as a phone photo.
    """
    written = _write(text, font, height, rng, difficulty)
    bent = _bend(written, rng, difficulty)
    framed = _frame(_pen(bent, rng, difficulty), height, rng, difficulty)
    return _photograph(framed, rng, difficulty)


def _write(text: str, path: Path, height: int, rng: np.random.Generator, difficulty: float) -> Ink:
    """Draw the words one by one on a wide sheet, each with its own baseline, and crop to ink."""
    size = round(EM * height)
    font = _font(path, size)
    space = max(font.getlength(" "), 0.15 * size)
    words = text.split(" ")
    gaps = space * np.exp(rng.normal(0.1, 0.35 * difficulty, len(words)))
    shifts = np.clip(rng.normal(0.0, 0.06, len(words)), -0.2, 0.2) * difficulty * size
    lengths = [font.getlength(word) for word in words]
    sheet = Image.new("L", (int(sum(lengths) + gaps.sum()) + 2 * height, 4 * height))
    pen = ImageDraw.Draw(sheet)
    x = float(height)
    for word, length, gap, shift in zip(words, lengths, gaps, shifts, strict=True):
        pen.text((x, 2 * height + shift), word, fill=255, font=font, anchor="ls")
        x += length + gap
    box = sheet.getbbox() or (0, 0, height, height)
    return np.asarray(sheet.crop(box), np.float32) / np.float32(255)


def _bend(ink_HW: Ink, rng: np.random.Generator, difficulty: float) -> Ink:
    """Slant, a rising or falling line, a wavy one, and a smooth elastic distortion."""
    height, width = ink_HW.shape
    slant = rng.normal(0.0, 0.18 * difficulty)
    rise = rng.normal(0.0, 0.012 * difficulty) * width
    rise = float(np.clip(rise, -0.25 * height, 0.25 * height))
    amplitude = 0.028 * difficulty * height
    side = int(abs(slant) * height) + int(amplitude * 2) + 2
    above = int(abs(rise)) + int(amplitude * 2) + 2
    out_h, out_w = height + 2 * above, width + 2 * side
    rows = np.arange(out_h, dtype=np.float32)[:, None] - above
    columns = np.arange(out_w, dtype=np.float32)[None, :] - side
    x_HW = columns + np.float32(slant) * (rows - height / 2) + _waves(out_h, out_w, amplitude, rng)
    x_HW = x_HW.astype(np.float32)
    y_HW = rows - np.float32(rise) * (columns / max(width, 1) - np.float32(0.5))
    y_HW = (y_HW + _waves(out_h, out_w, amplitude, rng)).astype(np.float32)
    return np.asarray(cv2.remap(ink_HW, x_HW, y_HW, cv2.INTER_LINEAR), np.float32)


def _waves(height: int, width: int, amplitude: float, rng: np.random.Generator) -> Ink:
    """A smooth random field of about `amplitude`, whose bumps are half a line high wide."""
    cells = (max(2, round(2 * width / height)) + 2, 4)
    coarse = rng.standard_normal((cells[1], cells[0]), dtype=np.float32) * np.float32(amplitude)
    # Cubic to a quarter of the size, then linear: as smooth, and several times as fast.
    smooth = cv2.resize(coarse, (width // 4 + 1, height // 4 + 1), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(smooth, (width, height)), np.float32)


def _pen(ink_HW: Ink, rng: np.random.Generator, difficulty: float) -> Ink:
    """Make the pen broader or finer by up to a pixel and a bit."""
    change = float(rng.normal(0.0, 0.6 * difficulty))
    operation = cv2.dilate if change > 0 else cv2.erode
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    share = min(abs(change), 0.6 if change < 0 else 1.2)
    changed = np.asarray(operation(ink_HW, kernel), np.float32)
    return np.asarray(ink_HW + np.float32(share) * (changed - ink_HW), np.float32)


def _frame(ink_HW: Ink, height: int, rng: np.random.Generator, difficulty: float) -> Ink:
    """Crop to the ink, add random margins, and bring the whole to `height`."""
    rows = np.flatnonzero(ink_HW.max(axis=1) > 0.25)
    columns = np.flatnonzero(ink_HW.max(axis=0) > 0.25)
    if not len(rows):
        rows, columns = np.arange(ink_HW.shape[0]), np.arange(ink_HW.shape[1])
    tight = ink_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    widest = np.array([0.12, 0.12, 0.35, 0.35]) * (0.3 + 0.7 * difficulty)
    top, bottom, left, right = (rng.uniform(0.02, widest) * height).astype(int)
    inner = max(8, height - top - bottom)
    # A word without ascenders or marks is not blown up to the full height of a line.
    natural = inner / max(tight.shape[0], round(0.8 * EM * height))
    scale = natural * float(np.exp(rng.normal(0.0, 0.12 * difficulty)))
    width = max(4, round(tight.shape[1] * scale))
    tall = min(inner, max(4, round(tight.shape[0] * natural)))
    small = cv2.resize(tight, (width, tall), interpolation=cv2.INTER_AREA)
    framed = np.zeros((height, left + width + right), np.float32)
    first = top + int(rng.integers(0, inner - tall + 1))
    framed[first : first + tall, left : left + width] = small
    return np.minimum(framed, np.float32(1))


def _photograph(ink_HW: Ink, rng: np.random.Generator, difficulty: float) -> Grey:
    """Ink on tinted, shadowed, sometimes ruled paper; blurred and noisy."""
    height, width = ink_HW.shape
    paper = 255.0 - rng.uniform(0, 90) * difficulty
    shade = _waves(height, width, 14.0 * difficulty * rng.random(), rng)
    slope = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(rng.normal(0, 15 * difficulty))
    page = np.float32(paper) + shade + slope
    if rng.random() < 0.25 * difficulty:
        _rule(page, rng, height)
    darkness = (paper - 60) * rng.uniform(1.0 - 0.5 * difficulty, 1.0)
    faded = 1.0 + _waves(height, width, 0.15 * difficulty, rng)
    photo = page - ink_HW * np.clip(faded, 0.5, 1.0) * np.float32(darkness)
    if (sigma := rng.uniform(0, 1.1) * difficulty) > 0.3:
        photo = cv2.GaussianBlur(photo, (0, 0), sigma)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    photo = photo + grain * np.float32(rng.uniform(0, 9) * difficulty)
    return np.asarray(np.clip(photo, 0, 255), np.uint8)


def _rule(page_HW: Ink, rng: np.random.Generator, height: int) -> None:
    """Draw the ruled line of a notebook into the page, near the foot of the writing."""
    row = int(rng.uniform(0.6, 0.95) * height)
    drop = int(rng.normal(0, 2))
    start, end = (0, row), (page_HW.shape[1], row + drop)
    shade = float(page_HW.mean()) - rng.uniform(20, 70)
    cv2.line(page_HW, start, end, shade, int(rng.integers(1, 3)), cv2.LINE_AA)
