"""What the synthetic lines say: single syllables, addresses, verse.

Every text is normalised, inside `text.ALPHABET`, and has between `words[0]` and `words[1]` words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.params import SyntheticParams
from netchu.core.text import PUNCTUATION, normalise
from netchu.data.parse import truyen_kieu, vietnam_dataset
from netchu.synthesis import syllables
from netchu.synthesis.addresses import Gazetteer, draw_address, pick

Rng = np.random.Generator
Writer = Callable[[Rng], str]


def writer_of_text(params: SyntheticParams, corpus: Path | None) -> Writer:
    """A function that draws the next text from a random generator; it can be pickled.

    corpus: the fetched folder of vietnam_dataset for addresses (None makes names up), of
        truyen_kieu for verse.

    Raises:
        NetchuError: `words` is no range, no text is named, verse without its corpus, or a corpus
            that holds nothing.
    """
    low, high = params.words
    if not 1 <= low <= high:
        raise NetchuError(f"words: [{low}, {high}] is no range; write the fewest, then the most")
    match params.text:
        case "syllable":
            return partial(_syllables, low=low, high=high)
        case "address":
            gazetteer = Gazetteer.of(vietnam_dataset.texts(corpus) if corpus else [])
            if corpus and not gazetteer.streets:
                raise NetchuError(f"no streets in {corpus}; run 'dvc repro download'")
            return partial(_addresses, gazetteer=gazetteer, low=low, high=high)
        case "verse":
            if corpus is None:
                raise NetchuError("verse needs a corpus; set it to the folder of truyen_kieu")
            if not (verses := truyen_kieu.texts(corpus)):
                raise NetchuError(f"no verses in {corpus}; run 'dvc repro download'")
            return partial(_verse, verses=verses, low=low, high=high)
        case "":
            raise NetchuError("text is missing; set it to syllable, address or verse")


def _addresses(rng: Rng, gazetteer: Gazetteer, low: int, high: int) -> str:
    """Draw addresses until there are words enough; take a window where there are too many.

    A third of the windows begin where the address begins, a third end where it ends.
    """
    words: list[str] = []
    while len(words) < low:
        words += draw_address(rng, gazetteer).split()
    if len(words) > high:
        count = int(rng.integers(low, high + 1))
        room = len(words) - count
        start = min(max(int(rng.integers(-room, 2 * room + 1)), 0), room)
        words = words[start : start + count]
        words[-1] = words[-1].rstrip(",")
    return normalise(" ".join(words))


def _syllables(rng: Rng, low: int, high: int) -> str:
    """Unrelated syllables, in the letter case of a sentence, of names, or of a heading.

    Headings come often, for nothing else has capitals with marks.
    """
    words = [syllables.draw(rng) for _ in range(int(rng.integers(low, high + 1)))]
    case = rng.random()
    if case < 0.25:
        words[0] = words[0].capitalize()
    elif case < 0.4:
        words = [word.capitalize() for word in words]
    elif case < 0.6:
        words = [word.upper() for word in words]
    for place in range(len(words)):
        kind = rng.random()
        if kind < 0.07:
            words[place] = _number(rng)
        elif kind < 0.16:
            words[place] += pick(rng, list(",,,,...?!:;"))
        elif kind < 0.18:
            pair = pick(rng, ["()", '""', "“”", "''", "[]"])
            words[place] = pair[0] + words[place] + pair[1]
        elif kind < 0.20:
            words[place] = pick(rng, list(PUNCTUATION[1:] + "--–/…"))
    return normalise(" ".join(words))


def _number(rng: Rng) -> str:
    """A number as people write them: plain, with a letter, a slash, a full stop or a colon."""
    kind = rng.random()
    number = str(int(10 ** rng.uniform(0, 3)))
    if kind < 0.5:
        return number
    if kind < 0.65:
        return number + pick(rng, list("ABCDEFGHKLMNPabcdfw"))
    if kind < 0.85:
        return number + pick(rng, list("////-.,:")) + str(int(10 ** rng.uniform(0, 2.4)))
    if kind < 0.95:
        return pick(rng, list("ABCDEFHKLMNPTWZJ")) + number
    return "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(4, 11))))


def _verse(rng: Rng, verses: list[str], low: int, high: int) -> str:
    """Consecutive words of the poem from a random verse on, running over its end."""
    count = int(rng.integers(low, high + 1))
    place = int(rng.integers(len(verses)))
    words: list[str] = []
    while len(words) < count:
        words += verses[place % len(verses)].split()
        place += 1
    start = int(rng.integers(0, len(words) - count + 1)) if rng.random() < 0.5 else 0
    return " ".join(words[start : start + count])
