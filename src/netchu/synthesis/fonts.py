"""A font and a text become ink, as if a hand had learned to write like the font.

Some words are written as the font shapes them, others letter by letter, where every letter and
every mark has its own place, size and tilt. The more, the greater the distortion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from netchu.imaging.images import Grey
from netchu.imaging.strokes import Ink
from netchu.synthesis.fields import GRID, coarse, resized, waves
from netchu.synthesis.glyphs import CROSS, SOLID, Glyph, Part, draw_glyph

EM = 0.72
"""Font size in line heights: a line with marks above and tails below then fills the height."""

BREADTH = 0.05
"""Of a ball pen's strokes, in font sizes."""

JOINED = 0.5
"""Of the gap under a mark, how far it comes down; further, and ỹ would read g, â a."""


@dataclass(frozen=True)
class Habits:
    """What a hand does to its font, the same throughout a line.

    size: of the font, pixels. haste: how much letters differ, the distortion. loose: share of
    words written letter by letter. spread: more or less room between letters, pixels. mark_x,
    mark_y: where marks go, pixels. mark_scale: how large they are. joined: share of marks that
    come down to what lies under them.
    """

    size: int
    haste: float
    loose: float
    spread: float
    mark_x: float
    mark_y: float
    mark_scale: float
    joined: float


Stamp = tuple[Grey, int, int]
"""Ink, and the column and row where it goes."""


def write(text: str, font: Path, height: int, rng: np.random.Generator, distortion: float) -> Ink:
    """The ink of `text`, at about the scale of a line `height` pixels high.

    distortion: 0 is the clean font, 1 a hasty hand.
    """
    size = round(EM * height)
    sheet = _lay(_set(text, font, _habits(size, rng, distortion), rng), size)
    sheet = _repen(_bend(sheet, size, rng, distortion), size, rng, distortion)
    _, solid = cv2.threshold(sheet, SOLID, 255, cv2.THRESH_BINARY)
    x, y, width, tall = cv2.boundingRect(solid)
    if not width:
        return np.zeros((size, size), np.float32)
    return np.multiply(sheet[y : y + tall, x : x + width], np.float32(1 / 255), dtype=np.float32)


def _habits(size: int, rng: np.random.Generator, distortion: float) -> Habits:
    spread, x, y, scale = np.clip(rng.normal(0.0, distortion, 4), -2, 2)
    return Habits(
        size=size,
        haste=distortion,
        loose=rng.uniform(0.5, 2.5) * distortion,
        spread=0.04 * spread * size,
        mark_x=(0.08 * distortion + 0.07 * x) * size,  # most hands set marks too far to the right
        mark_y=0.05 * y * size,
        mark_scale=math.exp(0.1 * distortion + 0.15 * scale),
        joined=rng.uniform(0.0, 0.4) * distortion,
    )


def _set(text: str, font: Path, habits: Habits, rng: np.random.Generator) -> list[Stamp]:
    """Place the words of a line one after the other."""
    size, haste = habits.size, habits.haste
    space = max(draw_glyph(font, size, " ").advance, 0.15 * size)
    stamps: list[Stamp] = []
    x = 0.0
    for word in text.split():
        loose = rng.random() < habits.loose
        rise, growth, gap = rng.uniform(-haste, haste, 3).tolist()
        pieces = word if loose else (word,)
        own = haste if loose else 0.0
        jitter = rng.uniform(-own, own, (len(pieces), 4)).tolist()
        for piece, (dx, dy, grown, tilt) in zip(pieces, jitter, strict=True):
            glyph = draw_glyph(font, size, piece)
            pen = x + 0.05 * dx * size, (0.08 * rise + 0.05 * dy) * size
            scale = math.exp(0.08 * growth + 0.13 * grown)
            stamps += _strike(glyph, pen, scale, 8 * tilt, habits, rng)
            x += glyph.advance * scale + (habits.spread if loose else 0.0)
        x += space * math.exp(0.25 * haste + 0.55 * gap)
    return stamps


def _strike(
    glyph: Glyph,
    pen: tuple[float, float],
    scale: float,
    tilt: float,
    habits: Habits,
    rng: np.random.Generator,
) -> list[Stamp]:
    """The glyph's parts at the pen, scaled and tilted; marks go their own ways."""
    body, *marks = glyph.parts
    stamps = [_turn(body, pen, scale, tilt, scale)]
    for mark in marks:
        dx, dy, growth, turned = rng.uniform(-habits.haste, habits.haste, 4).tolist()
        x = habits.mark_x + 0.08 * dx * habits.size
        joined = rng.random() < habits.joined
        y = JOINED * mark.gap if joined else habits.mark_y + 0.065 * dy * habits.size
        place = pen[0] + scale * x, pen[1] + scale * y
        grown = scale * habits.mark_scale * math.exp(0.16 * growth)
        stamps.append(_turn(mark, place, scale, tilt + 16 * turned, grown))
    return stamps


def _turn(part: Part, pen: tuple[float, float], scale: float, tilt: float, grown: float) -> Stamp:
    """The part moved away from the pen by `scale`; about its middle tilted (degrees) and grown."""
    height, width = part.ink_HW.shape
    x = pen[0] + scale * (part.left + width / 2)
    y = pen[1] + scale * (part.top + height / 2)
    if tilt == 0 and grown == 1:
        return part.ink_HW, round(x - width / 2), round(y - height / 2)
    along, across = (grown * f(math.radians(tilt)) for f in (math.cos, math.sin))
    out_w = math.ceil(width * abs(along) + height * abs(across))
    out_h = math.ceil(height * abs(along) + width * abs(across))
    matrix = np.array([[along, across, 0.0], [-across, along, 0.0]])
    matrix[0, 2] = (out_w - 1 - along * (width - 1) - across * (height - 1)) / 2
    matrix[1, 2] = (out_h - 1 + across * (width - 1) - along * (height - 1)) / 2
    ink = cv2.warpAffine(part.ink_HW, matrix, (out_w, out_h))
    return np.asarray(ink, np.uint8), round(x - out_w / 2), round(y - out_h / 2)


def _lay(stamps: list[Stamp], size: int) -> Grey:
    """All stamps on one sheet, cropped to them."""
    if not stamps:
        return np.zeros((size, size), np.uint8)
    left = min(x for _, x, _ in stamps)
    top = min(y for _, _, y in stamps)
    right = max(x + ink.shape[1] for ink, x, _ in stamps)
    bottom = max(y + ink.shape[0] for ink, _, y in stamps)
    sheet = np.zeros((bottom - top, right - left), np.uint8)
    for ink, x, y in stamps:
        place = sheet[y - top : y - top + ink.shape[0], x - left : x - left + ink.shape[1]]
        np.maximum(place, ink, out=place)
    return sheet


def _bend(ink_HW: Grey, size: int, rng: np.random.Generator, distortion: float) -> Grey:
    """Slant, a line that rises or falls, narrow or wide hands, and waves, in one mapping."""
    height, width = ink_HW.shape
    slant, rise, stretch = rng.normal(0.0, distortion, 3)
    slant = 0.18 * np.clip(slant, -2, 2)
    rise = float(np.clip(0.012 * rise * width, -0.35 * size, 0.35 * size))
    stretch = float(np.exp(0.1 * stretch))
    amplitude = 0.04 * distortion * size
    above = int(abs(rise) / 2 + 4 * amplitude) + GRID
    side = int(abs(slant) * height / 2 + 4 * amplitude) + GRID
    out_h, out_w = height + 2 * above, round(width * stretch) + 2 * side
    rows, columns = coarse(out_h), coarse(out_w)
    # Where cv2.resize takes the coarse points to lie; outside of them it repeats the outermost.
    y = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) * (out_h / rows) - 0.5 - above
    x = (np.arange(columns, dtype=np.float32)[None] + 0.5) * (out_w / columns) - 0.5 - side
    bumps = 2 * out_h / size
    from_x = x / stretch + slant * (y - height / 2) + amplitude * waves(rows, columns, bumps, rng)
    from_y = y - rise * (x / out_w - 0.5) + amplitude * waves(rows, columns, bumps, rng)
    both = resized(np.dstack([from_x, from_y]).astype(np.float32), out_h, out_w)
    # OpenCV's stubs do not know that one array may hold both maps.
    bent = cv2.remap(ink_HW, both, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    return np.asarray(bent, np.uint8)


def _repen(ink_HW: Grey, size: int, rng: np.random.Generator, distortion: float) -> Grey:
    """Write with another pen: bring the font's strokes nearer to the breadth of a ball's."""
    _, solid = cv2.threshold(ink_HW, 127, 255, cv2.THRESH_BINARY)
    area = cv2.countNonZero(solid)
    edge = area - cv2.countNonZero(cv2.erode(solid, CROSS))
    if not edge or distortion == 0:
        return ink_HW
    breadth = 2 * area / edge
    wanted = BREADTH * size * float(np.exp(rng.normal(0.0, 0.3)))
    nearer = min(1.0, 2 * distortion) * rng.uniform(0.5, 1.0)
    change = float(np.clip(nearer * (wanted - breadth) / 2, -0.35 * breadth, 1.5))
    operation = cv2.dilate if change > 0 else cv2.erode
    whole, share = divmod(abs(change), 1)
    nearly = operation(ink_HW, CROSS, iterations=int(whole))
    mixed = cv2.addWeighted(nearly, 1 - share, operation(nearly, CROSS), share, 0)
    if change < 0:  # hairlines, which would be lost, stay
        hairs = cv2.morphologyEx(ink_HW, cv2.MORPH_TOPHAT, CROSS, iterations=int(whole) + 1)
        mixed = np.maximum(mixed, hairs)
    return np.asarray(mixed, np.uint8)
