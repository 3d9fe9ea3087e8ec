"""Glyphs of a font as bitmaps, drawn once and kept: letters with their marks apart, or words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from netchu.core.text import VOWEL_MARKS, decompose, normalise
from netchu.data.parse.fonts import missing
from netchu.imaging.images import Grey

SOLID = 64
"""Of 255: a pixel with this much ink is part of a stroke."""

CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

SPECK = 4
"""Pixels: what is smaller is no mark."""

ALIKE = 0.85
"""Share of a bare letter's strokes that must lie in the letter with marks."""

HORN = next(sign for sign, name in VOWEL_MARKS.items() if name == "horn")
"""The mark of ơ and ư grows out of its letter and stays with it, as the bar of đ does."""


@dataclass(frozen=True)
class Part:
    """A piece of a glyph: its ink, and where that begins, from the pen on the baseline.

    gap: rows to move it down until it touches what lies towards its letter.
    """

    ink_HW: Grey
    left: int
    top: int
    gap: int = 0


@dataclass(frozen=True)
class Glyph:
    """A letter, or a word in one piece. parts: its body, then its marks."""

    parts: tuple[Part, ...]
    advance: float


@lru_cache(maxsize=512)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    # Pillow's other layout engine draws otherwise where a library of the system is missing.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=20_000)
def draw_glyph(path: Path, size: int, piece: str) -> Glyph:
    """A letter with its marks apart, or a word as the font shapes it."""
    font = _font(path, size)
    if len(piece) > 1:
        word = _draw(font, piece)
        return Glyph((word,), word.left + word.ink_HW.shape[1] - 1)
    whole, bare, advance = _draw(font, piece), _bare(piece), font.getlength(piece)
    if bare == piece or missing(bare, path):
        return Glyph((whole,), advance)
    return Glyph(_separate(whole, _draw(font, bare)), advance)


def _draw(font: ImageFont.FreeTypeFont, piece: str) -> Part:
    """The piece as the font draws it, a pixel of paper all around for soft edges when turned."""
    pen = round(2 * font.size)
    sheet = Image.new("L", (round((len(piece) + 4) * font.size), 2 * pen))
    ImageDraw.Draw(sheet).text((pen, pen), piece, fill=255, font=font, anchor="ls")
    ink_HW = np.asarray(sheet)
    x, y, width, height = cv2.boundingRect(ink_HW)
    if not width:
        return Part(np.zeros((1, 1), np.uint8), 0, 0)
    ink_HW = ink_HW[y - 1 : y + height + 1, x - 1 : x + width + 1].copy()
    return Part(ink_HW, x - 1 - pen, y - 1 - pen)


def _bare(letter: str) -> str:
    """The letter without the marks that stand apart from it; i and j lose their dots."""
    base, mark, _ = decompose(letter)
    if mark == "bar":
        return letter
    bare = normalise(base + HORN) if mark == "horn" else base
    return bare.translate({ord("i"): "ı", ord("j"): "ȷ"})


def _separate(whole: Part, bare: Part) -> tuple[Part, ...]:
    """Body and marks of a letter: what stands clear above or below its bare form is a mark.

    A letter whose bare form is not found in it (the font draws it otherwise) stays whole.
    """
    near = _find(whole.ink_HW, bare.ink_HW)
    if near is None:
        return (whole,)
    apart = (whole.ink_HW > SOLID // 2) & (cv2.dilate(near, CROSS) == 0)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(apart.astype(np.uint8))
    rows = np.flatnonzero(near.max(axis=1))
    body = whole.ink_HW.copy()
    marks: list[Part] = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in boxes[label])
        above, below = y + height / 2 < rows[0], y + height / 2 > rows[-1]
        if area < SPECK or not (above or below):
            continue
        own = (cv2.dilate((labels == label).astype(np.uint8), CROSS) > 0) & (near == 0)
        left, top = x - 1, y - 1  # with its soft edge; glyphs have a pixel of paper around
        mark = np.where(own, body, 0)[top : y + height + 1, left : x + width + 1]
        body[own] = 0
        gap = _gap(whole.ink_HW[:, x : x + width], y, y + height, above)
        marks.append(Part(mark, whole.left + left, whole.top + top, gap))
    return (Part(body, whole.left, whole.top), *marks)


def _find(ink_HW: Grey, bare_HW: Grey) -> Grey | None:
    """The bare letter where it lies in the whole one, on a sheet of the same size; None if not."""
    reach = 3
    room = np.pad(ink_HW, reach)
    if bare_HW.shape[0] > room.shape[0] or bare_HW.shape[1] > room.shape[1]:
        return None
    likeness = cv2.matchTemplate(room, bare_HW, cv2.TM_CCORR)
    _, _, _, (x, y) = cv2.minMaxLoc(likeness)
    there = np.zeros_like(room)
    there[y : y + bare_HW.shape[0], x : x + bare_HW.shape[1]] = bare_HW
    solid = there > SOLID
    if not solid.any() or (room[solid] > SOLID).mean() < ALIKE:
        return None
    there = np.where(solid, there, 0)[reach:-reach, reach:-reach]
    return np.asarray(there, np.uint8)


def _gap(columns_HW: Grey, top: int, bottom: int, above: bool) -> int:
    """Rows to move the mark in rows `top` to `bottom` until it touches ink; 0 if there is none."""
    towards = columns_HW[bottom:] if above else columns_HW[:top][::-1]
    inked = np.flatnonzero(towards.max(axis=1, initial=0) > SOLID)
    rows = int(inked[0]) if len(inked) else 0
    return rows if above else -rows
