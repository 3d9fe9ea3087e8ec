"""Render any text with the pen strokes of real writers, recombined from VNOnDB.

One writer writes the whole line. Each word is taken from the first of these that provides it: the
writer's own sample of the word; the writer's sample of the word with another tone, or with the
other case of its first letter; the same three from another writer of similar slant and letter
width; single letters. `RenderedText.word_sources` counts them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from netchu.core.text import split_tone
from netchu.imaging.strokes import Stroke, choose_pen, draw_strokes
from netchu.synthesis.base import RenderedText
from netchu.synthesis.letters import split_initial
from netchu.synthesis.stroke_groups import StrokeGroup, concatenate, shear_and_stretch
from netchu.synthesis.tones import ToneMark, change_tone
from netchu.synthesis.writers import Writer

OWN, OWN_TONE, OWN_INITIAL = "own", "own, tone changed", "own, initial changed"
OTHER, OTHER_TONE, OTHER_INITIAL = "other", "other, tone changed", "other, initial changed"
SPELLED, PUNCTUATION = "letter by letter", "punctuation"

WRITER_CANDIDATES = 12
"""A line is written by the one of so many random writers who wrote most of its words."""

LENDER_CANDIDATES = 3
"""A missing word comes from a random one of so many most similar writers."""

TOKENS = re.compile(r"[^\W\d_]+|\d+|.")
"""Runs of letters, runs of digits, single punctuation marks."""


class UnwritableError(Exception):
    """No writer wrote the strokes that a character needs; the message is the character."""


class StrokeRenderer:
    """Renders text with the strokes of `writers`; all of them belong to the training split."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self.writers = writers
        self._by_word = _invert([writer.words for writer in writers])
        self._by_toneless = _invert([writer.toneless for writer in writers])
        self._by_letter = _invert([writer.letters for writer in writers])
        self._by_punctuation = _invert([writer.punctuation for writer in writers])
        self._by_tone = _invert([writer.tones for writer in writers])
        traits = np.array([(4 * w.slant, np.log(w.letter_width)) for w in writers])
        distances = np.abs(traits[:, None] - traits[None]).sum(axis=2)
        self._distances = np.asarray(distances, np.float32)

    def render(
        self, text: str, split: str, height: int, rng: np.random.Generator, distortion: float
    ) -> RenderedText | str:
        """Return `text` as one line in one handwriting, or why no writer can write it.

        The distortion varies position, size, slant and spacing. For the arguments see `Renderer`.
        """
        me = self._choose_writer(text, rng)
        word_sources: Counter[str] = Counter()
        try:
            row = [self._token(token, me, rng, word_sources) for token in text.split(" ")]
        except UnwritableError as error:
            return f"no writer wrote what {str(error)!r} needs"
        line = _join_words(row, self.writers[me].gap, rng, distortion)
        extent = float(np.ptp(np.concatenate(line)[:, 1]))
        scale = np.float32(0.8 * height / max(extent, 2.6))
        ink_HW = draw_strokes([stroke * scale for stroke in line], choose_pen(rng, float(scale)))
        return RenderedText(ink_HW, self.writers[me].name, word_sources)

    def _choose_writer(self, text: str, rng: np.random.Generator) -> int:
        """Return the one of a few random writers who wrote most words of the text."""
        candidates: list[int] = rng.permutation(len(self.writers))[:WRITER_CANDIDATES].tolist()
        tokens = TOKENS.findall(text)
        return max(candidates, key=lambda i: sum(t in self.writers[i].words for t in tokens))

    def _token(
        self, text: str, me: int, rng: np.random.Generator, word_sources: Counter[str]
    ) -> StrokeGroup:
        """Return what stands between two spaces: words and the punctuation attached to them."""
        groups: list[StrokeGroup] = []
        gaps: list[float] = []
        after_mark = False
        for token in TOKENS.findall(text):
            if token[0].isalnum():
                group, source = self._word(token, me, rng)
                gap = rng.uniform(0.1, 0.35) if after_mark else rng.uniform(0.1, 0.3)
            else:
                group, source = self._punctuation(token, me, rng), PUNCTUATION
                gap = float(np.clip(group.gap_before, -0.3, 0.6))
            groups.append(group)
            gaps.append(gap)
            word_sources[source] += 1
            after_mark = not token[0].isalnum()
        return concatenate(groups, gaps) if len(groups) > 1 else groups[0]

    def _word(self, word: str, me: int, rng: np.random.Generator) -> tuple[StrokeGroup, str]:
        own = self.writers[me]
        if word in own.words:
            return _choose(rng, own.words[word]), OWN
        if group := self._with_other_tone(word, me, rng):
            return group, OWN_TONE
        if group := self._with_other_initial(word, me, rng):
            return group, OWN_INITIAL
        for other in self._similar(me, self._by_word.get(word, ()), rng):
            return self._adapt(_choose(rng, self.writers[other].words[word]), other, me), OTHER
        for other in self._similar(me, self._by_toneless.get(split_tone(word)[0], ()), rng):
            if group := self._with_other_tone(word, other, rng):
                return self._adapt(group, other, me), OTHER_TONE
        for other in self._similar(me, self._by_word.get(_swap_initial_case(word), ()), rng):
            if group := self._with_other_initial(word, other, rng):
                return self._adapt(group, other, me), OTHER_INITIAL
        return self._spell(word, me, rng), SPELLED

    def _with_other_tone(
        self, word: str, index: int, rng: np.random.Generator
    ) -> StrokeGroup | None:
        """Return the word made from a word of the same writer that has another tone."""
        writer = self.writers[index]
        toneless, tone, _ = split_tone(word)
        donors = writer.toneless.get(toneless, [])
        for position in rng.permutation(len(donors)).tolist():
            donor = donors[position]
            mark = self._tone_mark(tone, index, rng)
            if tone != "level" and mark is None:
                return None
            group = change_tone(donor, _choose(rng, writer.words[donor]), word, mark)
            if group:
                return group
        return None

    def _tone_mark(self, tone: str, index: int, rng: np.random.Generator) -> ToneMark | None:
        """Return a mark of this tone, the writer's own if there is one."""
        if tone == "level":
            return None
        if own := self.writers[index].tones.get(tone):
            return own[int(rng.integers(len(own)))]
        for other in self._similar(index, self._by_tone.get(tone, ()), rng):
            marks = self.writers[other].tones[tone]
            return marks[int(rng.integers(len(marks)))]
        return None

    def _with_other_initial(
        self, word: str, index: int, rng: np.random.Generator
    ) -> StrokeGroup | None:
        """Return the word made from the writer's word with the other case of its first letter."""
        writer = self.writers[index]
        donor = _swap_initial_case(word)
        if donor == word or donor not in writer.words:
            return None
        initials = writer.letters.get(word[0])
        if not initials:
            return None
        parts = split_initial(donor, _choose(rng, writer.words[donor]), writer.slant)
        if parts is None:
            return None
        return concatenate([_choose(rng, initials), parts[1]], [0.0, rng.uniform(0.0, 0.2)])

    def _spell(self, word: str, me: int, rng: np.random.Generator) -> StrokeGroup:
        """Return the word made of single letters, all of one writer if somebody has them all."""
        owners = {letter: self._owners(letter) for letter in set(word)}
        if lacking := sorted(letter for letter, indices in owners.items() if not indices):
            raise UnwritableError(lacking[0])
        shared = set.intersection(*(set(indices) for indices in owners.values()))
        groups = []
        one = next(self._similar(me, sorted(shared), rng), None)
        for letter in word:
            index = one if one is not None else next(self._similar(me, owners[letter], rng))
            groups.append(self._adapt(self._letter(letter, index, rng), index, me))
        return concatenate(groups, rng.uniform(0.02, 0.22, len(groups)).tolist())

    def _owners(self, letter: str) -> list[int]:
        """Return the writers of a letter; if nobody wrote it, of the letter without its tone."""
        return self._by_letter.get(letter) or self._by_letter.get(split_tone(letter)[0], [])

    def _letter(self, letter: str, index: int, rng: np.random.Generator) -> StrokeGroup:
        letters = self.writers[index].letters
        if letter in letters:
            return _choose(rng, letters[letter])
        toneless, tone, _ = split_tone(letter)
        mark = self._tone_mark(tone, index, rng)
        if mark is None:
            raise UnwritableError(letter)
        group = change_tone(toneless, _choose(rng, letters[toneless]), letter, mark)
        assert group is not None, "a letter without a tone takes any tone"
        return group

    def _punctuation(self, mark: str, me: int, rng: np.random.Generator) -> StrokeGroup:
        if mark == "–":  # handwritten dashes and hyphens look alike
            mark = "-"
        if own := self.writers[me].punctuation.get(mark):
            return _choose(rng, own)
        for other in self._similar(me, self._by_punctuation.get(mark, ()), rng):
            return self._adapt(_choose(rng, self.writers[other].punctuation[mark]), other, me)
        raise UnwritableError(mark)

    def _similar(self, me: int, others: Sequence[int], rng: np.random.Generator) -> Iterator[int]:
        """Yield, in random order, the few of `others` whose handwriting is most similar to mine."""
        if len(others) == 0:
            return
        nearest_first = np.argsort(self._distances[me, list(others)], kind="stable")
        ordered = np.asarray(others)[nearest_first]
        for position in rng.permutation(min(LENDER_CANDIDATES, len(ordered))).tolist():
            yield int(ordered[position])

    def _adapt(self, group: StrokeGroup, other: int, me: int) -> StrokeGroup:
        """Bring another writer's strokes to my slant and letter width."""
        if other == me:
            return group
        theirs, mine = self.writers[other], self.writers[me]
        stretch = float(np.clip(mine.letter_width / theirs.letter_width, 0.75, 1.3))
        return shear_and_stretch(group, mine.slant - theirs.slant, stretch)


def _invert(tables: Sequence[Mapping[str, object]]) -> dict[str, list[int]]:
    """Return, for each key, the indices of the tables that have it."""
    indices: dict[str, list[int]] = defaultdict(list)
    for index, table in enumerate(tables):
        for key in table:
            indices[key].append(index)
    return dict(indices)


def _choose(rng: np.random.Generator, samples: Sequence[StrokeGroup]) -> StrokeGroup:
    return samples[int(rng.integers(len(samples)))]


def _swap_initial_case(word: str) -> str:
    return word[0].swapcase() + word[1:]


def _join_words(
    row: Sequence[StrokeGroup], gap: float, rng: np.random.Generator, distortion: float
) -> list[Stroke]:
    """Return words side by side as the strokes of a line, in x-heights.

    Args:
        row: the words.
        gap: the writer's space between words.
        rng: source of randomness.
        distortion: how strongly spaces, heights, sizes and strokes vary.
    """
    gaps = np.maximum(gap * np.exp(rng.normal(0.0, 0.3 * distortion, len(row))), 0.35)
    shifts = rng.normal(0.0, 0.1 * distortion, len(row))
    sizes = np.exp(rng.normal(0.0, 0.06 * distortion, len(row)))
    strokes: list[Stroke] = []
    x = 0.0
    for word, before, y, size in zip(row, gaps, shifts, sizes, strict=True):
        x += float(before) if strokes else 0.0
        offset = np.array([x, y], np.float32)
        strokes += [stroke * np.float32(size) + offset for stroke in word.strokes]
        x += word.width * float(size)
    return _deform(strokes, x, rng, distortion)


def _deform(
    strokes: list[Stroke],
    width: float,
    rng: np.random.Generator,
    distortion: float,
) -> list[Stroke]:
    """Vary slant and width, tilt and bend the baseline, and make the strokes uneven."""
    ends = np.cumsum([len(stroke) for stroke in strokes])[:-1]
    points = np.concatenate(strokes)
    x, y = points[:, 0], points[:, 1]
    drift = float(np.clip(rng.normal(0.0, 0.012 * distortion) * width, -0.8, 0.8))
    wave, phase = rng.normal(0.0, 0.12 * distortion), rng.uniform(0, 2 * np.pi)
    length = rng.uniform(8.0, 24.0)
    bends = rng.uniform(0.4, 1.4, 4)
    phases = rng.uniform(0, 2 * np.pi, 4)
    amplitude = 0.05 * distortion
    new_x = x * np.exp(rng.normal(0.0, 0.12 * distortion)) + rng.normal(0, 0.12 * distortion) * y
    new_x = new_x + amplitude * (np.sin(bends[0] * x + phases[0]) + np.sin(2 * y + phases[1]))
    new_y = y + drift * (x / max(width, 1.0) - 0.5) + wave * np.sin(x / length + phase)
    new_y = new_y + amplitude * (np.sin(bends[2] * 2 * x + phases[2]) + np.sin(y + phases[3]))
    deformed = np.stack([new_x, new_y], axis=1).astype(np.float32)
    return np.split(deformed, ends)
