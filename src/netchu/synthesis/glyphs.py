"""Bitmaps of a font's glyphs, cached: letters with their diacritics separated, or whole words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from netchu.core.text import VOWEL_MARKS, decompose, normalise
from netchu.data.parse.fonts import missing_characters
from netchu.imaging.images import Grey

INK_LEVEL = 64
"""Ink from 0 to 255 above which a pixel belongs to a stroke."""

CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

MIN_MARK_AREA = 4
"""Pixels; smaller connected components are not diacritics."""

MIN_OVERLAP = 0.85
"""Share of the base letter's strokes that the whole letter must contain."""

HORN = next(sign for sign, name in VOWEL_MARKS.items() if name == "horn")
"""The horn of ơ and ư is attached to its letter and stays with it, like the bar of đ."""


@dataclass(frozen=True)
class GlyphPart:
    """The bitmap of a base letter, of a diacritic, or of a word.

    Args:
        ink_HW: the ink, 0 to 255.
        left: column of its left edge, relative to the pen position.
        top: row of its upper edge, relative to the baseline.
        gap: rows to move a diacritic down until it touches its letter; negative below the letter.
    """

    ink_HW: Grey
    left: int
    top: int
    gap: int = 0


@dataclass(frozen=True)
class Glyph:
    """A letter, or a word as the font shapes it.

    Args:
        parts: the base letter (or the word), then the diacritics.
        advance: pixels from this pen position to the next.
    """

    parts: tuple[GlyphPart, ...]
    advance: float


@lru_cache(maxsize=512)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    # Pillow's other layout engine needs a system library and renders differently without it.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=20_000)
def draw_glyph(path: Path, size: int, text: str) -> Glyph:
    """Draw a letter with its diacritics separated, or a word as one part.

    Args:
        path: the font file.
        size: font size in pixels.
        text: one letter, or a word.
    """
    font = _font(path, size)
    if len(text) > 1:
        word = _draw(font, text)
        return Glyph((word,), word.left + word.ink_HW.shape[1] - 1)
    whole, base, advance = _draw(font, text), _base_letter(text), font.getlength(text)
    if base == text or missing_characters(base, path):
        return Glyph((whole,), advance)
    return Glyph(_separate(whole, _draw(font, base)), advance)


def _draw(font: ImageFont.FreeTypeFont, text: str) -> GlyphPart:
    """Draw text with a margin of one pixel, which keeps edges soft when it is rotated."""
    pen = round(2 * font.size)
    canvas = Image.new("L", (round((len(text) + 4) * font.size), 2 * pen))
    ImageDraw.Draw(canvas).text((pen, pen), text, fill=255, font=font, anchor="ls")
    ink_HW = np.asarray(canvas)
    x, y, width, height = cv2.boundingRect(ink_HW)
    if not width:
        return GlyphPart(np.zeros((1, 1), np.uint8), 0, 0)
    ink_HW = ink_HW[y - 1 : y + height + 1, x - 1 : x + width + 1].copy()
    return GlyphPart(ink_HW, x - 1 - pen, y - 1 - pen)


def _base_letter(letter: str) -> str:
    """Return the letter without its detached diacritics; i and j lose their dots."""
    base, mark, _ = decompose(letter)
    if mark == "bar":
        return letter
    bare = normalise(base + HORN) if mark == "horn" else base
    return bare.translate({ord("i"): "ı", ord("j"): "ȷ"})


def _separate(whole: GlyphPart, base: GlyphPart) -> tuple[GlyphPart, ...]:
    """Split a letter into its base and its diacritics.

    A diacritic is a connected component above or below the base letter. A letter that does not
    contain the shape of its base letter (the font draws it differently) stays in one part.
    """
    located = _locate(whole.ink_HW, base.ink_HW)
    if located is None:
        return (whole,)
    outside = (whole.ink_HW > INK_LEVEL // 2) & (cv2.dilate(located, CROSS) == 0)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(outside.astype(np.uint8))
    rows = np.flatnonzero(located.max(axis=1))
    body = whole.ink_HW.copy()
    marks: list[GlyphPart] = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in boxes[label])
        above, below = y + height / 2 < rows[0], y + height / 2 > rows[-1]
        if area < MIN_MARK_AREA or not (above or below):
            continue
        own = (cv2.dilate((labels == label).astype(np.uint8), CROSS) > 0) & (located == 0)
        left, top = x - 1, y - 1  # with the soft edge; `_draw` leaves a margin for it
        mark = np.where(own, body, 0)[top : y + height + 1, left : x + width + 1]
        body[own] = 0
        gap = _gap(whole.ink_HW[:, x : x + width], y, y + height, above)
        marks.append(GlyphPart(mark, whole.left + left, whole.top + top, gap))
    return (GlyphPart(body, whole.left, whole.top), *marks)


def _locate(ink_HW: Grey, base_HW: Grey) -> Grey | None:
    """Return the base letter at its place in the whole letter, HW; None if it is not in it."""
    margin = 3
    padded = np.pad(ink_HW, margin)
    if base_HW.shape[0] > padded.shape[0] or base_HW.shape[1] > padded.shape[1]:
        return None
    correlation = cv2.matchTemplate(padded, base_HW, cv2.TM_CCORR)
    _, _, _, (x, y) = cv2.minMaxLoc(correlation)
    located = np.zeros_like(padded)
    located[y : y + base_HW.shape[0], x : x + base_HW.shape[1]] = base_HW
    strokes = located > INK_LEVEL
    if not strokes.any() or (padded[strokes] > INK_LEVEL).mean() < MIN_OVERLAP:
        return None
    located = np.where(strokes, located, 0)[margin:-margin, margin:-margin]
    return np.asarray(located, np.uint8)


def _gap(columns_HW: Grey, top: int, bottom: int, above: bool) -> int:
    """Return by how many rows the mark in rows `top` to `bottom` may move until it touches ink.

    0 if there is no ink; negative for a mark below the letter.
    """
    towards = columns_HW[bottom:] if above else columns_HW[:top][::-1]
    inked = np.flatnonzero(towards.max(axis=1, initial=0) > INK_LEVEL)
    rows = int(inked[0]) if len(inked) else 0
    return rows if above else -rows
