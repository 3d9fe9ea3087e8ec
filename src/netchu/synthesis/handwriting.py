"""Any text in the hand of a real writer: pen strokes of VNOnDB, joined anew.

A word is taken from the first of these that gives it: the writer wrote it; he wrote it with another
tone, or with another first letter; a writer of like slant and spacing did; letter by letter. What
came from where is counted.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from netchu.core.text import split_tone
from netchu.imaging.strokes import Ink, Stroke, choose_pen, trace
from netchu.synthesis.letters import split_initial
from netchu.synthesis.marks import Mark, change_tone
from netchu.synthesis.stroke_pieces import Piece, adapt, set_in_row
from netchu.synthesis.writers import Scribe

OWN, OWN_TONE, OWN_INITIAL = "own", "own, tone changed", "own, initial changed"
OTHER, OTHER_TONE, OTHER_INITIAL = "other", "other, tone changed", "other, initial changed"
SPELLED, MARKS = "letter by letter", "punctuation"

CANDIDATES = 12
"""A line's writer is that of this many, drawn by lot, who wrote most of its words."""
CHOICE = 3
"""A word is borrowed from one of this many writers who are most alike."""
RUNS = re.compile(r"[^\W\d_]+|\d+|.")
"""Runs of letters, runs of digits, single marks."""


class Written(NamedTuple):
    """A text as ink, who wrote it, and how many words came to be in which way."""

    ink: Ink
    writer: str
    ways: Mapping[str, int]


class UnwritableError(Exception):
    """No writer wrote what this would need; the message is the run of characters."""


class Scribes:
    """All hands, and who of them wrote what."""

    def __init__(self, scribes: Sequence[Scribe]) -> None:
        self.scribes = scribes
        self.by_word = _index({i: s.words for i, s in enumerate(scribes)})
        self.by_toneless = _index({i: s.toneless for i, s in enumerate(scribes)})
        self.by_letter = _index({i: s.letters for i, s in enumerate(scribes)})
        self.by_mark = _index({i: s.punctuation for i, s in enumerate(scribes)})
        self.by_tone = _index({i: s.tones for i, s in enumerate(scribes)})
        traits = np.array([(4 * s.slant, np.log(s.pace)) for s in scribes])
        apart = np.abs(traits[:, None] - traits[None]).sum(axis=2)
        self.distance = np.asarray(apart, np.float32)

    def write(
        self, text: str, height: int, rng: np.random.Generator, distortion: float
    ) -> Written | str:
        """`text` as one line for a photo `height` pixels high, or why nobody can write it.

        distortion: how much the hand wavers in place, size, slant and spacing; 0 not at all.
        """
        me = self._writer(text, rng)
        ways: Counter[str] = Counter()
        try:
            row = [self._token(token, me, rng, ways) for token in text.split(" ")]
        except UnwritableError as problem:
            return f"no writer wrote what {str(problem)!r} needs"
        line = _line(row, self.scribes[me].gap, rng, distortion)
        points = np.concatenate(line)
        extent = float(np.ptp(points[:, 1]))
        scale = np.float32(0.8 * height / max(extent, 2.6))
        ink_HW = trace([stroke * scale for stroke in line], choose_pen(rng, float(scale)))
        return Written(ink_HW, self.scribes[me].name, ways)

    def _writer(self, text: str, rng: np.random.Generator) -> int:
        """Who is to write: of a few drawn by lot the one who wrote most of these words."""
        drawn: list[int] = rng.permutation(len(self.scribes))[:CANDIDATES].tolist()
        runs = RUNS.findall(text)
        return max(drawn, key=lambda who: sum(run in self.scribes[who].words for run in runs))

    def _token(self, token: str, me: int, rng: np.random.Generator, ways: Counter[str]) -> Piece:
        """What stands between two spaces."""
        pieces: list[Piece] = []
        gaps: list[float] = []
        after_mark = False
        for run in RUNS.findall(token):
            if run[0].isalnum():
                piece, way = self._word(run, me, rng)
                gap = rng.uniform(0.1, 0.35) if after_mark else rng.uniform(0.1, 0.3)
            else:
                piece, way = self._mark(run, me, rng), MARKS
                gap = float(np.clip(piece.lead, -0.3, 0.6))
            pieces.append(piece)
            gaps.append(gap)
            ways[way] += 1
            after_mark = not run[0].isalnum()
        return set_in_row(pieces, gaps) if len(pieces) > 1 else pieces[0]

    def _word(self, word: str, me: int, rng: np.random.Generator) -> tuple[Piece, str]:
        own = self.scribes[me]
        if word in own.words:
            return _any(rng, own.words[word]), OWN
        if piece := self._with_tone(word, me, rng):
            return piece, OWN_TONE
        if piece := self._with_initial(word, me, rng):
            return piece, OWN_INITIAL
        for who in self._alike(me, self.by_word.get(word, ()), rng):
            return self._adapted(_any(rng, self.scribes[who].words[word]), who, me), OTHER
        for who in self._alike(me, self.by_toneless.get(split_tone(word)[0], ()), rng):
            if piece := self._with_tone(word, who, rng):
                return self._adapted(piece, who, me), OTHER_TONE
        for who in self._alike(me, self.by_word.get(_other_initial(word), ()), rng):
            if piece := self._with_initial(word, who, rng):
                return self._adapted(piece, who, me), OTHER_INITIAL
        return self._spell(word, me, rng), SPELLED

    def _with_tone(self, word: str, who: int, rng: np.random.Generator) -> Piece | None:
        """The word from one of the same writer that has another tone."""
        scribe = self.scribes[who]
        toneless, tone, _ = split_tone(word)
        donors = scribe.toneless.get(toneless, [])
        for place in rng.permutation(len(donors)).tolist():
            donor = donors[place]
            mark = self._tone(tone, who, rng)
            if tone != "level" and mark is None:
                return None
            piece = change_tone(donor, _any(rng, scribe.words[donor]), word, mark)
            if piece:
                return piece
        return None

    def _tone(self, tone: str, who: int, rng: np.random.Generator) -> Mark | None:
        """A stroke of this tone, the writer's own if he has one."""
        if tone == "level":
            return None
        if own := self.scribes[who].tones.get(tone):
            return own[int(rng.integers(len(own)))]
        for other in self._alike(who, self.by_tone.get(tone, ()), rng):
            marks = self.scribes[other].tones[tone]
            return marks[int(rng.integers(len(marks)))]
        return None

    def _with_initial(self, word: str, who: int, rng: np.random.Generator) -> Piece | None:
        """The word from one of the same writer that begins with the other case of its letter."""
        scribe = self.scribes[who]
        donor = _other_initial(word)
        if donor == word or donor not in scribe.words:
            return None
        letters = scribe.letters.get(word[0])
        if not letters:
            return None
        parts = split_initial(donor, _any(rng, scribe.words[donor]), scribe.slant)
        if parts is None:
            return None
        return set_in_row([_any(rng, letters), parts[1]], [0.0, rng.uniform(0.0, 0.2)])

    def _spell(self, word: str, me: int, rng: np.random.Generator) -> Piece:
        """The word from single letters, all of one hand if one has them all."""
        needed = {letter: self._who_has(letter) for letter in set(word)}
        if lacking := sorted(letter for letter, who in needed.items() if not who):
            raise UnwritableError(lacking[0])
        shared = set.intersection(*(set(who) for who in needed.values()))
        pieces = []
        one = next(self._alike(me, sorted(shared), rng), None)
        for letter in word:
            who = one if one is not None else next(self._alike(me, needed[letter], rng))
            pieces.append(self._adapted(self._letter(letter, who, rng), who, me))
        return set_in_row(pieces, rng.uniform(0.02, 0.22, len(pieces)).tolist())

    def _who_has(self, letter: str) -> list[int]:
        """The writers of a letter; where there is none, those of the letter without its tone."""
        return self.by_letter.get(letter) or self.by_letter.get(split_tone(letter)[0], [])

    def _letter(self, letter: str, who: int, rng: np.random.Generator) -> Piece:
        letters = self.scribes[who].letters
        if letter in letters:
            return _any(rng, letters[letter])
        plain, tone, _ = split_tone(letter)
        mark = self._tone(tone, who, rng)
        if mark is None:
            raise UnwritableError(letter)
        piece = change_tone(plain, _any(rng, letters[plain]), letter, mark)
        assert piece is not None, "a letter without a tone takes any"
        return piece

    def _mark(self, mark: str, me: int, rng: np.random.Generator) -> Piece:
        if mark == "–":  # which nobody tells from a hyphen when writing
            mark = "-"
        if own := self.scribes[me].punctuation.get(mark):
            return _any(rng, own)
        for who in self._alike(me, self.by_mark.get(mark, ()), rng):
            return self._adapted(_any(rng, self.scribes[who].punctuation[mark]), who, me)
        raise UnwritableError(mark)

    def _alike(self, me: int, others: Sequence[int], rng: np.random.Generator) -> Iterator[int]:
        """A few of `others`, drawn from those whose hand is most like mine."""
        if len(others) == 0:
            return
        ordered = np.asarray(others)[np.argsort(self.distance[me, list(others)], kind="stable")]
        for place in rng.permutation(min(CHOICE, len(ordered))).tolist():
            yield int(ordered[place])

    def _adapted(self, piece: Piece, who: int, me: int) -> Piece:
        """Another's piece brought to my slant and pace."""
        if who == me:
            return piece
        his, mine = self.scribes[who], self.scribes[me]
        stretch = float(np.clip(mine.pace / his.pace, 0.75, 1.3))
        return adapt(piece, mine.slant - his.slant, stretch)


def _index(tables: Mapping[int, Mapping[str, object]]) -> dict[str, list[int]]:
    """Key -> the writers who have it."""
    found: dict[str, list[int]] = defaultdict(list)
    for who, table in tables.items():
        for key in table:
            found[key].append(who)
    return dict(found)


def _any(rng: np.random.Generator, pieces: Sequence[Piece]) -> Piece:
    return pieces[int(rng.integers(len(pieces)))]


def _other_initial(word: str) -> str:
    return word[0].swapcase() + word[1:]


def _line(
    row: Sequence[Piece], gap: float, rng: np.random.Generator, distortion: float
) -> list[Stroke]:
    """Words in a row as strokes in x-heights, with the wavering of a hand."""
    gaps = np.maximum(gap * np.exp(rng.normal(0.0, 0.3 * distortion, len(row))), 0.35)
    shifts = rng.normal(0.0, 0.1 * distortion, len(row))
    sizes = np.exp(rng.normal(0.0, 0.06 * distortion, len(row)))
    strokes: list[Stroke] = []
    x = 0.0
    for piece, before, lift, size in zip(row, gaps, shifts, sizes, strict=True):
        x += float(before) if strokes else 0.0
        by = np.array([x, lift], np.float32)
        strokes += [stroke * np.float32(size) + by for stroke in piece.strokes]
        x += piece.width * float(size)
    return _waver(strokes, x, rng, distortion)


def _waver(
    strokes: list[Stroke],
    width: float,
    rng: np.random.Generator,
    distortion: float,
) -> list[Stroke]:
    """Another slant and breadth, a baseline that rises, falls and waves, and uneven strokes."""
    ends = np.cumsum([len(stroke) for stroke in strokes])[:-1]
    points = np.concatenate(strokes)
    x, y = points[:, 0], points[:, 1]
    drift = float(np.clip(rng.normal(0.0, 0.012 * distortion) * width, -0.8, 0.8))
    wave, turn = rng.normal(0.0, 0.12 * distortion), rng.uniform(0, 2 * np.pi)
    length = rng.uniform(8.0, 24.0)
    bends = rng.uniform(0.4, 1.4, 4)
    phases = rng.uniform(0, 2 * np.pi, 4)
    amplitude = 0.05 * distortion
    new_x = x * np.exp(rng.normal(0.0, 0.12 * distortion)) + rng.normal(0, 0.12 * distortion) * y
    new_x = new_x + amplitude * (np.sin(bends[0] * x + phases[0]) + np.sin(2 * y + phases[1]))
    new_y = y + drift * (x / max(width, 1.0) - 0.5) + wave * np.sin(x / length + turn)
    new_y = new_y + amplitude * (np.sin(bends[2] * 2 * x + phases[2]) + np.sin(y + phases[3]))
    wavering = np.stack([new_x, new_y], axis=1).astype(np.float32)
    return np.split(wavering, ends)
