"""Render text with a font so that it looks handwritten.

Some words are drawn as the font shapes them, others letter by letter, where every letter and every
diacritic gets its own position, size and rotation. Both effects grow with the distortion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from netchu.data.parse.fonts import missing_characters
from netchu.imaging.images import Grey
from netchu.imaging.strokes import Ink
from netchu.synthesis.base import RenderedText
from netchu.synthesis.fields import GRID_STEP, grid_points, resize_field, smooth_noise
from netchu.synthesis.glyphs import CROSS, INK_LEVEL, Glyph, GlyphPart, draw_glyph

FONT_SIZE = 0.72
"""Font size in line heights: a line with diacritics and descenders then fills the height."""

BALLPOINT_WIDTH = 0.05
"""Stroke width of a ballpoint pen, in font sizes."""

TOUCHING_GAP = 0.5
"""Share of the gap below a diacritic that it moves down; with more, ỹ would look like g, â like
a."""


@dataclass(frozen=True)
class LineStyle:
    """How one line differs from its font.

    Args:
        size: font size, pixels.
        variation: how much letters differ from one another; equals the distortion.
        separated: share of words drawn letter by letter.
        letter_spacing: added space between letters, pixels.
        mark_x: shift of diacritics to the right, pixels.
        mark_y: shift of diacritics down, pixels.
        mark_scale: size of diacritics, 1 as in the font.
        touching: share of diacritics that move towards their letter.
    """

    size: int
    variation: float
    separated: float
    letter_spacing: float
    mark_x: float
    mark_y: float
    mark_scale: float
    touching: float


PlacedPart = tuple[Grey, int, int]
"""Ink HW, and the column and row of its upper left corner."""


@dataclass(frozen=True)
class FontRenderer:
    """Renders text with font families, each of which counts as a writer.

    Args:
        families: the family names of each split.
        files: the font files of each family.
    """

    families: Mapping[str, Sequence[str]]
    files: Mapping[str, Sequence[Path]]

    def render(
        self, text: str, split: str, height: int, rng: np.random.Generator, distortion: float
    ) -> RenderedText | str:
        """Return `text` in a random font of `split`; a reason if the font lacks a character."""
        family = self.families[split][int(rng.integers(len(self.families[split])))]
        font = self.files[family][int(rng.integers(len(self.files[family])))]
        if lacking := missing_characters(text, font):
            return f"font {family} lacks {lacking!r}"
        return RenderedText(render_with_font(text, font, height, rng, distortion), family, {})


def render_with_font(
    text: str, font: Path, height: int, rng: np.random.Generator, distortion: float
) -> Ink:
    """Return the ink of `text`, HW, at about the scale of a line `height` pixels high.

    Args:
        text: the text; the font has all of its characters.
        font: the font file.
        height: height of the line, pixels.
        rng: source of randomness.
        distortion: from 0 (the font as it is) to 1 (hasty handwriting).
    """
    size = round(FONT_SIZE * height)
    ink_HW = _composite(_place_words(text, font, _draw_style(size, rng, distortion), rng), size)
    ink_HW = _adjust_stroke_width(_warp(ink_HW, size, rng, distortion), size, rng, distortion)
    _, strokes = cv2.threshold(ink_HW, INK_LEVEL, 255, cv2.THRESH_BINARY)
    x, y, width, ink_height = cv2.boundingRect(strokes)
    if not width:
        return np.zeros((size, size), np.float32)
    cropped = ink_HW[y : y + ink_height, x : x + width]
    return np.multiply(cropped, np.float32(1 / 255), dtype=np.float32)


def _draw_style(size: int, rng: np.random.Generator, distortion: float) -> LineStyle:
    spacing, x, y, scale = np.clip(rng.normal(0.0, distortion, 4), -2, 2)
    return LineStyle(
        size=size,
        variation=distortion,
        separated=rng.uniform(0.5, 2.5) * distortion,
        letter_spacing=0.04 * spacing * size,
        # Most people set diacritics too far to the right.
        mark_x=(0.08 * distortion + 0.07 * x) * size,
        mark_y=0.05 * y * size,
        mark_scale=math.exp(0.1 * distortion + 0.15 * scale),
        touching=rng.uniform(0.0, 0.4) * distortion,
    )


def _place_words(
    text: str, font: Path, style: LineStyle, rng: np.random.Generator
) -> list[PlacedPart]:
    """Place the words of a line from left to right."""
    size, variation = style.size, style.variation
    space = max(draw_glyph(font, size, " ").advance, 0.15 * size)
    placed: list[PlacedPart] = []
    x = 0.0
    for word in text.split():
        separated = rng.random() < style.separated
        rise, growth, gap = rng.uniform(-variation, variation, 3).tolist()
        units = word if separated else (word,)
        spread = variation if separated else 0.0
        jitter = rng.uniform(-spread, spread, (len(units), 4)).tolist()
        for unit, (dx, dy, own_growth, rotation) in zip(units, jitter, strict=True):
            glyph = draw_glyph(font, size, unit)
            pen = x + 0.05 * dx * size, (0.08 * rise + 0.05 * dy) * size
            scale = math.exp(0.08 * growth + 0.13 * own_growth)
            placed += _place_glyph(glyph, pen, scale, 8 * rotation, style, rng)
            x += glyph.advance * scale + (style.letter_spacing if separated else 0.0)
        x += space * math.exp(0.25 * variation + 0.55 * gap)
    return placed


def _place_glyph(
    glyph: Glyph,
    pen: tuple[float, float],
    scale: float,
    rotation: float,
    style: LineStyle,
    rng: np.random.Generator,
) -> list[PlacedPart]:
    """Place the parts of a glyph; each diacritic is moved, scaled and rotated on its own."""
    body, *marks = glyph.parts
    placed = [_transform(body, pen, scale, rotation, scale)]
    for mark in marks:
        dx, dy, growth, turn = rng.uniform(-style.variation, style.variation, 4).tolist()
        x = style.mark_x + 0.08 * dx * style.size
        touching = rng.random() < style.touching
        y = TOUCHING_GAP * mark.gap if touching else style.mark_y + 0.065 * dy * style.size
        mark_pen = pen[0] + scale * x, pen[1] + scale * y
        mark_scale = scale * style.mark_scale * math.exp(0.16 * growth)
        placed.append(_transform(mark, mark_pen, scale, rotation + 16 * turn, mark_scale))
    return placed


def _transform(
    part: GlyphPart,
    pen: tuple[float, float],
    offset_scale: float,
    rotation: float,
    scale: float,
) -> PlacedPart:
    """Place a part relative to the pen, rotated and scaled about its centre.

    Args:
        part: the part of a glyph.
        pen: x and y of the pen on the baseline, pixels.
        offset_scale: scale of the distance from the pen to the part.
        rotation: degrees.
        scale: scale of the part itself.
    """
    height, width = part.ink_HW.shape
    x = pen[0] + offset_scale * (part.left + width / 2)
    y = pen[1] + offset_scale * (part.top + height / 2)
    if rotation == 0 and scale == 1:
        return part.ink_HW, round(x - width / 2), round(y - height / 2)
    cos, sin = (scale * f(math.radians(rotation)) for f in (math.cos, math.sin))
    out_w = math.ceil(width * abs(cos) + height * abs(sin))
    out_h = math.ceil(height * abs(cos) + width * abs(sin))
    matrix = np.array([[cos, sin, 0.0], [-sin, cos, 0.0]])
    matrix[0, 2] = (out_w - 1 - cos * (width - 1) - sin * (height - 1)) / 2
    matrix[1, 2] = (out_h - 1 + sin * (width - 1) - cos * (height - 1)) / 2
    ink = cv2.warpAffine(part.ink_HW, matrix, (out_w, out_h))
    return np.asarray(ink, np.uint8), round(x - out_w / 2), round(y - out_h / 2)


def _composite(placed: list[PlacedPart], size: int) -> Grey:
    """Draw all parts on one canvas, cropped to them; blank if there are none."""
    if not placed:
        return np.zeros((size, size), np.uint8)
    left = min(x for _, x, _ in placed)
    top = min(y for _, _, y in placed)
    right = max(x + ink.shape[1] for ink, x, _ in placed)
    bottom = max(y + ink.shape[0] for ink, _, y in placed)
    canvas = np.zeros((bottom - top, right - left), np.uint8)
    for ink, x, y in placed:
        region = canvas[y - top : y - top + ink.shape[0], x - left : x - left + ink.shape[1]]
        np.maximum(region, ink, out=region)
    return canvas


def _warp(ink_HW: Grey, size: int, rng: np.random.Generator, distortion: float) -> Grey:
    """Slant, rotate, stretch and bend the line with one remapping."""
    height, width = ink_HW.shape
    slant, rise, stretch = rng.normal(0.0, distortion, 3)
    slant = 0.18 * np.clip(slant, -2, 2)
    rise = float(np.clip(0.012 * rise * width, -0.35 * size, 0.35 * size))
    stretch = float(np.exp(0.1 * stretch))
    amplitude = 0.04 * distortion * size
    above = int(abs(rise) / 2 + 4 * amplitude) + GRID_STEP
    side = int(abs(slant) * height / 2 + 4 * amplitude) + GRID_STEP
    out_h, out_w = height + 2 * above, round(width * stretch) + 2 * side
    rows, columns = grid_points(out_h), grid_points(out_w)
    # Where cv2.resize assumes the coarse points to be; beyond the outermost it repeats them.
    y = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) * (out_h / rows) - 0.5 - above
    x = (np.arange(columns, dtype=np.float32)[None] + 0.5) * (out_w / columns) - 0.5 - side
    bumps = 2 * out_h / size
    from_x = x / stretch + slant * (y - height / 2)
    from_x = from_x + amplitude * smooth_noise(rows, columns, bumps, rng)
    from_y = y - rise * (x / out_w - 0.5) + amplitude * smooth_noise(rows, columns, bumps, rng)
    both = resize_field(np.dstack([from_x, from_y]).astype(np.float32), out_h, out_w)
    # OpenCV's stubs do not know that one array may hold both maps.
    warped = cv2.remap(ink_HW, both, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    return np.asarray(warped, np.uint8)


def _adjust_stroke_width(
    ink_HW: Grey, size: int, rng: np.random.Generator, distortion: float
) -> Grey:
    """Bring the stroke width of the font nearer to that of a ballpoint pen."""
    _, strokes = cv2.threshold(ink_HW, 127, 255, cv2.THRESH_BINARY)
    area = cv2.countNonZero(strokes)
    edge = area - cv2.countNonZero(cv2.erode(strokes, CROSS))
    if not edge or distortion == 0:
        return ink_HW
    stroke_width = 2 * area / edge
    wanted = BALLPOINT_WIDTH * size * float(np.exp(rng.normal(0.0, 0.3)))
    strength = min(1.0, 2 * distortion) * rng.uniform(0.5, 1.0)
    limits = -0.35 * stroke_width, 1.5
    change = float(np.clip(strength * (wanted - stroke_width) / 2, *limits))
    operation = cv2.dilate if change > 0 else cv2.erode
    whole, fraction = divmod(abs(change), 1)
    rounded = operation(ink_HW, CROSS, iterations=int(whole))
    mixed = cv2.addWeighted(rounded, 1 - fraction, operation(rounded, CROSS), fraction, 0)
    if change < 0:  # erosion would remove hairlines
        hairlines = cv2.morphologyEx(ink_HW, cv2.MORPH_TOPHAT, CROSS, iterations=int(whole) + 1)
        mixed = np.maximum(mixed, hairlines)
    return np.asarray(mixed, np.uint8)
