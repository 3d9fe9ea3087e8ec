"""A pen that writes plain geometric letters, so that every stroke's meaning is known."""

import numpy as np

from netchu.core.text import decompose
from netchu.synthesis.letters import DEEP, TALL

WIDTH, GAP = 0.8, 0.3
MARKS = {
    "acute": [(-0.2, 0.2), (0.2, -0.2)],
    "grave": [(-0.2, -0.2), (0.2, 0.2)],
    "tilde": [(-0.4, 0.1), (-0.15, -0.1), (0.15, 0.1), (0.4, -0.1)],
    "hook": [(-0.15, -0.2), (0.1, -0.25), (0.15, -0.1), (0.0, 0.05), (0.0, 0.2)],
    "circumflex": [(-0.3, 0.15), (0.0, -0.15), (0.3, 0.15)],
    "breve": [(-0.3, -0.15), (0.0, 0.15), (0.3, -0.15)],
}


def letter(character, x=0.0):
    """Strokes of one character whose left edge is x; baseline 0, x-height 1, y downwards."""
    if character in ",.-/":
        ends = {",": (0.0, -0.1, -0.1, 0.3), ".": (0.0, -0.02, 0.02, 0.0),
                "-": (0.0, -0.5, 0.5, -0.5), "/": (0.0, 0.2, 0.6, -1.6)}[character]  # fmt: skip
        return [stroke([(x + 0.1 + ends[0], ends[1]), (x + 0.1 + ends[2], ends[3])])]
    base, mark, tone = decompose(character)
    tall = base.isupper() or base in TALL
    top, foot = (-1.9 if tall else -1.0), (0.8 if base in DEEP else 0.0)
    lean = (ord(base) % 7) / 20
    strokes = [stroke([(x, top), (x + lean, foot), (x + WIDTH, top * 0.8), (x + WIDTH, 0)])]
    middle, level = x + WIDTH / 2, top - 0.3
    if mark in ("circumflex", "breve"):
        strokes.append(stroke(MARKS[mark], middle, level - 0.1))
        level -= 0.6
    if tone == "dot":
        strokes.append(stroke([(0, 0), (0.05, 0.05)], middle, foot + 0.3))
    elif tone != "level":
        strokes.append(stroke(MARKS[tone], middle, level - 0.2))
    return strokes


def word(text):
    """Strokes of a word, letter by letter."""
    return [s for place, character in enumerate(text)
            for s in letter(character, place * (WIDTH + GAP))]  # fmt: skip


def stroke(points, x=0.0, y=0.0):
    return np.array(points, np.float32) + np.array([x, y], np.float32)
