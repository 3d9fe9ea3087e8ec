"""A picture of a few lines and of what a network reads in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_WIDTH, _HEIGHT, _TEXT = 900, 48, 20
_RIGHT, _WRONG, _LABEL = (20, 110, 50), (180, 30, 30), (110, 110, 110)


@dataclass(frozen=True)
class ReadLine:
    """A line: its image (H × W, uint8, 255 is paper), its label and its reading."""

    image: np.ndarray
    text: str
    reading: str


def draw_readings(lines: list[ReadLine]) -> Image.Image:
    """Return the lines below one another, each above its reading and, if that is wrong, its label.

    A right reading is green and a wrong one red.
    """
    row = _HEIGHT + 2 * _TEXT + 12
    canvas = Image.new("RGB", (_WIDTH, max(1, row * len(lines))), "white")
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        top = number * row + 4
        height, width = line.image.shape
        scale = min(_HEIGHT / height, (_WIDTH - 8) / width)
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        canvas.paste(Image.fromarray(line.image).resize(size), (4, top))
        right = line.reading == line.text
        below = top + _HEIGHT
        draw.text((4, below), line.reading or "(nothing)", _RIGHT if right else _WRONG, _font())
        if not right:
            draw.text((4, below + _TEXT), line.text, _LABEL, _font())
    return canvas


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Return matplotlib's DejaVu Sans, which has all Vietnamese letters."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), 15)
