"""What each writer of VNOnDB wrote, cut into words, letters, tones and punctuation at one scale.

The unit is the x-height of the writer's session, the baseline is y = 0 and y grows downwards, so
that strokes of different writers can stand in one line. Words come from VNOnDB's word level; the
strokes that only its line level has are punctuation.
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
from netchu.data.parse.handwriting.vnondb import Session, sessions
from netchu.imaging.strokes import Stroke
from netchu.synthesis.letters import find_outliers, split_letters
from netchu.synthesis.stroke_groups import StrokeGroup, from_tablet, vertical_extent
from netchu.synthesis.tones import ToneMark, find_tone

BELOW_BASELINE = frozenset("gpqyjQýỳỷỹGYÝ") | frozenset("ạặậẹệịọộợụựỵẠẶẬẸỆỊỌỘỢỤỰỴ")
"""Letters that some people write below the baseline."""

X_HEIGHT_LETTERS = frozenset("acemnorsuvx")
"""Letters as high as an x: a word of these alone shows the x-height."""

MEDIAN_STROKE_HEIGHT = 0.74
"""Height of the median stroke in x-heights, the median over all writers."""

MAX_SAMPLES = 12
"""Samples kept of each letter and tone of a writer; limits the memory."""

MAX_STROKES = {".": 1, ",": 1, "-": 1, "/": 1, "(": 1, ")": 1,
               "?": 2, "!": 2, ":": 2, ";": 2, '"': 2}  # fmt: skip
"""Most strokes of a punctuation mark (3 for others), so that a stray stroke is not part of it."""


@dataclass
class Writer:
    """What one person wrote.

    Args:
        name: the writer's id in VNOnDB.
        words: text -> every sample of it; `letters` and `punctuation` likewise.
        tones: tone -> samples of its mark.
        toneless: text without its tone -> the words that have it, as keys of `words`.
        slant: x per y of upright strokes; below 0 leans to the right.
        gap: space between words, in x-heights.
        letter_width: median width of a letter, in x-heights.
    """

    name: str
    words: dict[str, list[StrokeGroup]] = field(default_factory=dict)
    letters: dict[str, list[StrokeGroup]] = field(default_factory=dict)
    punctuation: dict[str, list[StrokeGroup]] = field(default_factory=dict)
    tones: dict[str, list[ToneMark]] = field(default_factory=dict)
    toneless: dict[str, list[str]] = field(default_factory=dict)
    slant: float = 0.0
    gap: float = 1.0
    letter_width: float = 1.0


class TabletWord(NamedTuple):
    """A word in tablet units, and its bounding box."""

    text: str
    strokes: list[Stroke]
    left: float
    right: float
    top: float
    bottom: float


def read_writers(folder: Path, select: Callable[[dict[str, str]], set[str]]) -> list[Writer]:
    """Read the sessions that `select` chooses, and return their writers sorted by name.

    Args:
        folder: the fetched folder of VNOnDB.
        select: gets the writer of each session, returns the sessions to read.

    Raises:
        NetchuError: the archive is missing or damaged, or no selected session has a word.
    """
    lines: dict[str, Session] = {}
    words: dict[str, Session] = {}
    for session in sessions(folder, ("line", "word")):
        (lines if session.level == "line" else words)[session.name] = session
    selected = select({s.name: s.writer for s in lines.values() if s.writer})
    writers = {name: Writer(name) for name in sorted({lines[name].writer for name in selected})}
    gaps: dict[str, list[float]] = defaultdict(list)
    for name, session in words.items():
        if name in selected:
            owner = lines[name].writer
            _add_session(writers[owner], session, lines[name], gaps[owner])
    found = [writer for writer in writers.values() if writer.words]
    if not found:
        raise NetchuError(f"{folder}: no training writer wrote a word; check the dataset's shares")
    for writer in found:
        _measure_style(writer, gaps[writer.name])
        _collect_letters_and_tones(writer)
    _remove_outliers(found)
    return found


def _add_session(writer: Writer, words: Session, lines: Session, gaps: list[float]) -> None:
    """Add a session's words and punctuation to its writer, and its word spaces to `gaps`."""
    by_line: dict[str, list[TabletWord]] = defaultdict(list)
    in_words: set[str] = set()
    for ink in words.groups:
        in_words.update(ink.traces)
        if ink.strokes and ink.text:
            by_line[ink.id.rsplit("_", 1)[0]].append(_tablet_word(ink.text, ink.strokes))
    baselines = {name: _fit_baseline(row) for name, row in by_line.items()}
    x_height = _estimate_x_height(by_line, baselines)
    for name, row in by_line.items():
        slope, level = baselines[name]
        for before, after in pairwise(row):
            gaps.append((after.left - before.right) / x_height)
        for word in row:
            line_y = level + slope * (word.left + word.right) / 2
            baseline = _word_baseline(word, line_y, x_height)
            group = from_tablet(word.strokes, word.left, baseline, x_height)
            if _has_plausible_size(word.text, group):
                writer.words.setdefault(word.text, []).append(group)
    for line in lines.groups:
        if line.id in by_line:
            remaining = [
                stroke
                for stroke, trace in zip(line.strokes, line.traces, strict=True)
                if trace not in in_words
            ]
            row, baseline_of_line = by_line[line.id], baselines[line.id]
            _add_punctuation(writer, line.text, row, remaining, baseline_of_line, x_height)


def _has_plausible_size(text: str, word: StrokeGroup) -> bool:
    """Return whether a word is as large as a word can be; a stray stroke would shrink its line."""
    top, bottom = vertical_extent(word)
    return top > -4.0 and bottom < 2.2 and word.width < 3.5 * (len(text) + 1)


def _tablet_word(text: str, strokes: list[Stroke]) -> TabletWord:
    points = np.concatenate(strokes)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return TabletWord(text, strokes, left, right, top, bottom)


def _fit_baseline(words: Sequence[TabletWord]) -> tuple[float, float]:
    """Return slope and intercept of a line's baseline, from its words without a descender."""
    standing = [word for word in words if not BELOW_BASELINE & set(word.text)]
    if not standing:
        height = statistics.median(word.bottom - word.top for word in words)
        return 0.0, statistics.median(word.bottom for word in words) - 0.25 * height
    x = np.array([(word.left + word.right) / 2 for word in standing])
    y = np.array([word.bottom for word in standing])
    if len(standing) < 4:
        return 0.0, float(np.median(y))
    # The median of the slopes between distant words is robust to a misplaced word or two.
    half = len(x) // 2
    slope = float(np.median((y[half:] - y[: len(y) - half]) / np.maximum(x[half:] - x[:-half], 1)))
    return slope, float(np.median(y - slope * x))


def _word_baseline(word: TabletWord, line_y: float, x_height: float) -> float:
    """Return the baseline of a word: that of its line, unless the word is clearly off it.

    With a descender the baseline is estimated from the height above and below which half of the
    ink lies, which is about the middle of the small letters.
    """
    if not BELOW_BASELINE & set(word.text):
        return word.bottom if abs(word.bottom - line_y) > 0.35 * x_height else line_y
    middles = np.concatenate([(stroke[1:] + stroke[:-1]) / 2 for stroke in word.strokes])
    lengths = np.concatenate([np.hypot(*np.diff(stroke, axis=0).T) for stroke in word.strokes])
    if not lengths.sum():
        return line_y
    order = np.argsort(middles[:, 1])
    half = np.searchsorted(np.cumsum(lengths[order]), lengths.sum() / 2)
    estimate = float(middles[order[half], 1]) + 0.55 * x_height
    return estimate if abs(estimate - line_y) > 0.4 * x_height else line_y


def _estimate_x_height(
    by_line: dict[str, list[TabletWord]], baselines: dict[str, tuple[float, float]]
) -> float:
    """Return the x-height of a session in tablet units."""
    heights = []
    for name, row in by_line.items():
        slope, level = baselines[name]
        heights += [
            level + slope * (word.left + word.right) / 2 - word.top
            for word in row
            if set(word.text) <= X_HEIGHT_LETTERS
        ]
    strokes = [float(np.ptp(s[:, 1])) for row in by_line.values() for w in row for s in w.strokes]
    guess = max(statistics.median(strokes), 1.0) / MEDIAN_STROKE_HEIGHT if strokes else 1.0
    plausible = [height for height in heights if 0.5 < height / guess < 2]
    # Each estimate is off by a third in some sessions, both seldom: take the geometric mean.
    return float(np.sqrt(guess * statistics.median(plausible))) if plausible else guess


def _add_punctuation(
    writer: Writer,
    text: str,
    words: Sequence[TabletWord],
    strokes: Sequence[Stroke],
    baseline: tuple[float, float],
    x_height: float,
) -> None:
    """Assign the strokes of a line that belong to no word to the punctuation between its words.

    Nothing is added where the assignment is ambiguous.
    """
    tokens = re.findall(r"\w+|[^\w\s]", text)
    if [token for token in tokens if token.isalnum()] != [word.text for word in words]:
        return
    marks: dict[int, str] = defaultdict(str)
    position = 0  # number of words before the mark
    for token in tokens:
        if token.isalnum():
            position += 1
        else:
            marks[position] += token
    centres = np.array([(word.left + word.right) / 2 for word in words])
    by_position: dict[int, list[Stroke]] = defaultdict(list)
    for stroke in strokes:
        by_position[int((centres < stroke[:, 0].mean()).sum())].append(stroke)
    slope, level = baseline
    for position, mark in marks.items():
        own = by_position[position]
        if len(mark) > 1 or not 1 <= len(own) <= MAX_STROKES.get(mark, 3):
            continue
        points = np.concatenate(own)
        left, right = float(points[:, 0].min()), float(points[:, 0].max())
        before = words[position - 1].right if position else left - 0.3 * x_height
        gap = (left - before) / x_height
        if -0.5 < gap < 2.0 and (right - left) / x_height < 2.5:
            group = from_tablet(own, left, level + slope * (left + right) / 2, x_height)
            writer.punctuation.setdefault(mark, []).append(group._replace(gap_before=gap))


def _measure_style(writer: Writer, gaps: Sequence[float]) -> None:
    """Set the slant, word spacing and letter width of a writer."""
    words = [word for samples in writer.words.values() for word in samples]
    steps = np.concatenate([np.diff(s, axis=0) for w in words for s in w.strokes if len(s) > 1])
    upright = steps[np.abs(steps[:, 1]) > np.maximum(0.5, 1.2 * np.abs(steps[:, 0]))]
    if len(upright):
        writer.slant = float(np.median(upright[:, 0] / upright[:, 1]))
    writer.gap = float(np.clip(statistics.median(gaps), 0.4, 3.0)) if gaps else 1.0
    widths = [
        word.width / len(text)
        for text, samples in writer.words.items()
        if len(text) > 1
        for word in samples
    ]
    writer.letter_width = float(np.clip(statistics.median(widths), 0.4, 3.0)) if widths else 1.0


def _collect_letters_and_tones(writer: Writer) -> None:
    """Collect single letters and tone marks from the words; index words by toneless text."""
    for text, samples in writer.words.items():
        toneless, tone, _ = split_tone(text)
        writer.toneless.setdefault(toneless, []).append(text)
        for word in samples:
            if any(len(writer.letters.get(letter, ())) < MAX_SAMPLES for letter in text):
                for letter, group in split_letters(text, word, writer.slant):
                    writer.letters.setdefault(letter, []).append(group)
            wanted = tone != "level" and len(writer.tones.get(tone, ())) < MAX_SAMPLES
            if wanted and (found := find_tone(text, word)):
                writer.tones.setdefault(tone, []).append(found.mark)


def _remove_outliers(writers: Sequence[Writer]) -> None:
    """Remove the letters that do not look like the same letter of all writers."""
    by_letter: dict[str, list[tuple[int, StrokeGroup]]] = defaultdict(list)
    for index, writer in enumerate(writers):
        for letter, samples in writer.letters.items():
            by_letter[letter] += [(index, sample) for sample in samples[:MAX_SAMPLES]]
        writer.letters.clear()
    for letter, samples_of_all in by_letter.items():
        outliers = find_outliers([sample for _, sample in samples_of_all])
        for (index, sample), is_outlier in zip(samples_of_all, outliers, strict=True):
            if not is_outlier:
                writers[index].letters.setdefault(letter, []).append(sample)
