"""What each writer of VNOnDB wrote, cut into words, letters and marks on one scale.

The unit is the x-height of the writer's session, the baseline is y = 0 and y grows downwards, so
that what one hand wrote stands beside what another wrote. Words come from the word level; what the
line level has besides is punctuation.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.text import split_tone
from netchu.data.parse.vnondb import Session, sessions
from netchu.imaging.strokes import Stroke
from netchu.synthesis.letters import odd_ones, split_letters
from netchu.synthesis.marks import Mark, find_tone
from netchu.synthesis.stroke_pieces import Piece, extent, piece_of

BELOW = frozenset("gpqyjQýỳỷỹGYÝ") | frozenset("ạặậẹệịọộợụựỵẠẶẬẸỆỊỌỘỢỤỰỴ")
"""Letters that go below the baseline in some hands."""
LOW = frozenset("acemnorsuvx")
"""Letters as high as an x: a word of these alone shows the x-height."""
STROKE = 0.74
"""Height of the median stroke in x-heights, the median over all writers."""
KEPT = 12
"""Letters and marks of each sort that are kept of a writer: more would only fill memory."""
STROKES = {".": 1, ",": 1, "-": 1, "/": 1, "(": 1, ")": 1, "?": 2, "!": 2, ":": 2, ";": 2, '"': 2}
"""The most strokes of a punctuation mark, so that a stray one is not taken for part of it."""


@dataclass
class Scribe:
    """One writer's hand.

    words, letters, punctuation: text -> every way he wrote it. tones: tone -> its strokes. slant:
    x per y of his upright strokes (below 0 leans to the right). gap: between words, pace: width of
    a letter, both in x-heights.
    """

    name: str
    words: dict[str, list[Piece]] = field(default_factory=dict)
    letters: dict[str, list[Piece]] = field(default_factory=dict)
    punctuation: dict[str, list[Piece]] = field(default_factory=dict)
    tones: dict[str, list[Mark]] = field(default_factory=dict)
    toneless: dict[str, list[str]] = field(default_factory=dict)
    slant: float = 0.0
    gap: float = 1.0
    pace: float = 1.0


class Placed(NamedTuple):
    """A word where it stands on the tablet."""

    text: str
    strokes: list[Stroke]
    left: float
    right: float
    top: float
    bottom: float


def read_scribes(folder: Path, keep: Callable[[set[str]], set[str]]) -> list[Scribe]:
    """The hands of the writers that `keep` chooses among all, in order of their names.

    Raises:
        NetchuError: the archive is missing or broken, or no writer is left.
    """
    lines: dict[str, Session] = {}
    words: dict[str, Session] = {}
    for session in sessions(folder, ("line", "word")):
        (lines if session.level == "line" else words)[session.name] = session
    chosen = keep({session.writer for session in lines.values() if session.writer})
    scribes = {name: Scribe(name) for name in sorted(chosen)}
    gaps: dict[str, list[float]] = defaultdict(list)
    for name, session in words.items():
        if session.writer in chosen and name in lines:
            _read_session(scribes[session.writer], session, lines[name], gaps)
    found = [scribe for scribe in scribes.values() if scribe.words]
    if not found:
        raise NetchuError(f"{folder}: no training writer wrote a word; check the dataset's shares")
    for scribe in found:
        _describe(scribe, gaps[scribe.name])
        _take_apart(scribe)
    _drop_odd_letters(found)
    return found


def _read_session(
    scribe: Scribe, words: Session, lines: Session, gaps: dict[str, list[float]]
) -> None:
    """Add a session's words and punctuation to the scribe's."""
    by_line: dict[str, list[Placed]] = defaultdict(list)
    taken: set[str] = set()
    for ink in words.inks:
        taken.update(ink.traces)
        if ink.strokes and ink.text:
            by_line[ink.id.rsplit("_", 1)[0]].append(_placed(ink.text, ink.strokes))
    baselines = {name: _baseline(row) for name, row in by_line.items()}
    x_height = _x_height(by_line, baselines)
    for name, row in by_line.items():
        slope, level = baselines[name]
        for before, after in pairwise(row):
            gaps[scribe.name].append((after.left - before.right) / x_height)
        for word in row:
            base = _foot(word, level + slope * (word.left + word.right) / 2, x_height)
            piece = piece_of(word.strokes, word.left, base, x_height)
            if _is_sane(word.text, piece):
                scribe.words.setdefault(word.text, []).append(piece)
    for line in lines.inks:
        if line.id in by_line:
            loose = [
                stroke
                for stroke, trace in zip(line.strokes, line.traces, strict=True)
                if trace not in taken
            ]
            _punctuation(scribe, line.text, by_line[line.id], loose, baselines[line.id], x_height)


def _is_sane(text: str, piece: Piece) -> bool:
    """Whether a word is of a size that a word has: a stray stroke would shrink its whole line."""
    low, high = extent(piece)
    return low > -4.0 and high < 2.2 and piece.width < 3.5 * (len(text) + 1)


def _placed(text: str, strokes: list[Stroke]) -> Placed:
    points = np.concatenate(strokes)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Placed(text, strokes, left, right, top, bottom)


def _baseline(words: Sequence[Placed]) -> tuple[float, float]:
    """Slope and level of a line, through the feet of its words without a descender."""
    standing = [word for word in words if not BELOW & set(word.text)]
    if not standing:
        heights = statistics.median(word.bottom - word.top for word in words)
        return 0.0, statistics.median(word.bottom for word in words) - 0.25 * heights
    x = np.array([(word.left + word.right) / 2 for word in standing])
    y = np.array([word.bottom for word in standing])
    if len(standing) < 4:
        return 0.0, float(np.median(y))
    # The median of slopes between distant words takes no harm from a word or two astray.
    half = len(x) // 2
    slope = float(np.median((y[half:] - y[: len(y) - half]) / np.maximum(x[half:] - x[:-half], 1)))
    return slope, float(np.median(y - slope * x))


def _foot(word: Placed, base: float, x_height: float) -> float:
    """The word's own baseline: the line's, unless the word plainly stands on another.

    Half of a word's ink lies above the middle of its low letters, half below.
    """
    if not BELOW & set(word.text):
        return word.bottom if abs(word.bottom - base) > 0.35 * x_height else base
    steps = np.concatenate([(stroke[1:] + stroke[:-1]) / 2 for stroke in word.strokes])
    lengths = np.concatenate([np.hypot(*np.diff(stroke, axis=0).T) for stroke in word.strokes])
    if not lengths.sum():
        return base
    order = np.argsort(steps[:, 1])
    half = np.searchsorted(np.cumsum(lengths[order]), lengths.sum() / 2)
    guess = float(steps[order[half], 1]) + 0.55 * x_height
    return guess if abs(guess - base) > 0.4 * x_height else base


def _x_height(by_line: dict[str, list[Placed]], baselines: dict[str, tuple[float, float]]) -> float:
    """Tablet units from the baseline to the top of letters like x, in a whole session."""
    heights = []
    for name, row in by_line.items():
        slope, level = baselines[name]
        heights += [
            level + slope * (word.left + word.right) / 2 - word.top
            for word in row
            if set(word.text) <= LOW
        ]
    strokes = [float(np.ptp(s[:, 1])) for row in by_line.values() for w in row for s in w.strokes]
    guess = max(statistics.median(strokes), 1.0) / STROKE if strokes else 1.0
    known = [height for height in heights if 0.5 < height / guess < 2]
    # Either alone is off by a third in some sessions, seldom both.
    return float(np.sqrt(guess * statistics.median(known))) if known else guess


def _punctuation(
    scribe: Scribe,
    text: str,
    words: Sequence[Placed],
    loose: Sequence[Stroke],
    baseline: tuple[float, float],
    x_height: float,
) -> None:
    """Give a line's loose strokes to the punctuation between its words, where that is clear."""
    tokens = re.findall(r"\w+|[^\w\s]", text)
    if [token for token in tokens if token.isalnum()] != [word.text for word in words]:
        return
    marks: dict[int, str] = defaultdict(str)
    place = 0
    for token in tokens:
        if token.isalnum():
            place += 1
        else:
            marks[place] += token
    centres = np.array([(word.left + word.right) / 2 for word in words])
    strokes: dict[int, list[Stroke]] = defaultdict(list)
    for stroke in loose:
        strokes[int((centres < stroke[:, 0].mean()).sum())].append(stroke)
    slope, level = baseline
    for place, mark in marks.items():
        if len(mark) > 1 or not 1 <= len(strokes[place]) <= STROKES.get(mark, 3):
            continue
        points = np.concatenate(strokes[place])
        left, right = float(points[:, 0].min()), float(points[:, 0].max())
        before = words[place - 1].right if place else left - 0.3 * x_height
        lead = (left - before) / x_height
        if -0.5 < lead < 2.0 and (right - left) / x_height < 2.5:
            base = level + slope * (left + right) / 2
            piece = piece_of(strokes[place], left, base, x_height)
            scribe.punctuation.setdefault(mark, []).append(piece._replace(lead=lead))


def _describe(scribe: Scribe, gaps: Sequence[float]) -> None:
    """Slant, spacing and pace of a hand."""
    pieces = [piece for written in scribe.words.values() for piece in written]
    steps = np.concatenate([np.diff(s, axis=0) for p in pieces for s in p.strokes if len(s) > 1])
    upright = steps[np.abs(steps[:, 1]) > np.maximum(0.5, 1.2 * np.abs(steps[:, 0]))]
    if len(upright):
        scribe.slant = float(np.median(upright[:, 0] / upright[:, 1]))
    scribe.gap = float(np.clip(statistics.median(gaps), 0.4, 3.0)) if gaps else 1.0
    paces = [
        piece.width / len(text)
        for text, written in scribe.words.items()
        if len(text) > 1
        for piece in written
    ]
    scribe.pace = float(np.clip(statistics.median(paces), 0.4, 3.0)) if paces else 1.0


def _take_apart(scribe: Scribe) -> None:
    """Collect single letters and tone marks; index the words by their toneless form."""
    for text, written in scribe.words.items():
        toneless, tone, _ = split_tone(text)
        scribe.toneless.setdefault(toneless, []).append(text)
        for piece in written:
            if any(len(scribe.letters.get(letter, ())) < KEPT for letter in text):
                for letter, part in split_letters(text, piece, scribe.slant):
                    scribe.letters.setdefault(letter, []).append(part)
            wanted = tone != "level" and len(scribe.tones.get(tone, ())) < KEPT
            if wanted and (found := find_tone(text, piece)):
                scribe.tones.setdefault(tone, []).append(found.mark)


def _drop_odd_letters(scribes: Sequence[Scribe]) -> None:
    """Leave out letters that do not look like the same letter of all other hands."""
    everyone: dict[str, list[tuple[int, Piece]]] = defaultdict(list)
    for who, scribe in enumerate(scribes):
        for letter, pieces in scribe.letters.items():
            everyone[letter] += [(who, piece) for piece in pieces[:KEPT]]
        scribe.letters.clear()
    for letter, owned in everyone.items():
        for (who, piece), odd in zip(owned, odd_ones([p for _, p in owned]), strict=True):
            if not odd:
                scribes[who].letters.setdefault(letter, []).append(piece)
