"""Writes simple geometric letters, so that tests know what every stroke is."""

import re

import numpy as np

from archives import group, inkml
from netchu.core.text import decompose
from netchu.synthesis.letters import ASCENDING, DESCENDING

WIDTH, GAP = 0.8, 0.3
MARKS = {
    "acute": [(-0.2, 0.2), (0.2, -0.2)],
    "grave": [(-0.2, -0.2), (0.2, 0.2)],
    "tilde": [(-0.4, 0.1), (-0.15, -0.1), (0.15, 0.1), (0.4, -0.1)],
    "hook": [(-0.15, -0.2), (0.1, -0.25), (0.15, -0.1), (0.0, 0.05), (0.0, 0.2)],
    "circumflex": [(-0.3, 0.15), (0.0, -0.15), (0.3, 0.15)],
    "breve": [(-0.3, -0.15), (0.0, 0.15), (0.3, -0.15)],
}
TABLET_X_HEIGHT = 200
"""Tablet units of an x-height in `session_files`."""

WRITER_TEXTS = {
    "id_1": "Bà hoà cao 12, ngon vẫn hết bao.",
    "id_2": "ba Quế sao 305/8 xem-em",
    "id_3": "sau mua con",
}
"""Writers of the small VNOnDB of the tests, and what each wrote."""


def letter(character, x=0.0):
    """Return the strokes of a character; x: left edge, baseline 0, x-height 1, y downwards."""
    if character in ",.-/":
        ends = {",": (0.0, -0.1, -0.1, 0.3), ".": (0.0, -0.02, 0.02, 0.0),
                "-": (0.0, -0.5, 0.5, -0.5), "/": (0.0, 0.2, 0.6, -1.6)}[character]  # fmt: skip
        return [stroke([(x + 0.1 + ends[0], ends[1]), (x + 0.1 + ends[2], ends[3])])]
    base, mark, tone = decompose(character)
    tall = base.isupper() or base in ASCENDING
    top, bottom = (-1.9 if tall else -1.0), (0.8 if base in DESCENDING else 0.0)
    lean = (ord(base) % 7) / 20
    strokes = [stroke([(x, top), (x + lean, bottom), (x + WIDTH, top * 0.8), (x + WIDTH, 0)])]
    middle, level = x + WIDTH / 2, top - 0.3
    if mark in ("circumflex", "breve"):
        strokes.append(stroke(MARKS[mark], middle, level - 0.1))
        level -= 0.6
    if tone == "dot":
        strokes.append(stroke([(0, 0), (0.05, 0.05)], middle, bottom + 0.3))
    elif tone != "level":
        strokes.append(stroke(MARKS[tone], middle, level - 0.2))
    return strokes


def word(text):
    """Return the strokes of a word, letter by letter."""
    return [s for index, character in enumerate(text)
            for s in letter(character, index * (WIDTH + GAP))]  # fmt: skip


def stroke(points, x=0.0, y=0.0):
    return np.array(points, np.float32) + np.array([x, y], np.float32)


def session_files(writer, text):
    """Return the InkML files of a session of one line, at the line and the word level."""
    words, all_traces = [], []
    for token, strokes in _tablet_line(text):
        traces = [_trace(len(all_traces) + i, s) for i, s in enumerate(strokes)]
        all_traces += traces
        if token.isalnum():
            words.append(group(f"tg_0_0_{len(words)}", token, *traces))
    name = f"20140101_{writer}.inkml"
    return {
        f"InkData_line/{name}": inkml(writer, group("tg_0_0", text, *all_traces)),
        f"InkData_word/{name}": inkml(writer, *words),
    }


def _tablet_line(text):
    """Return the words and punctuation of a line in tablet units: [(token, strokes)]."""
    placed, x = [], 1000.0
    for part in text.split():
        for token in re.findall(r"[^\W\d_]+|\d+|.", part):
            origin = np.array([x, 5000], np.float32)
            strokes = [s * TABLET_X_HEIGHT + origin for s in word(token)]
            placed.append((token, strokes))
            x = max(s[:, 0].max() for s in strokes) + 40
        x += 1.2 * TABLET_X_HEIGHT
    return placed


def _trace(number, stroke):
    points = ",".join(f"{x:.0f} {y:.0f}" for x, y in stroke)
    return f'<trace id="tr_{number}">{points}</trace>'
