"""Random texts of synthetic lines: syllables, addresses, verse.

Every text is normalised, consists of characters of `text.ALPHABET`, and has between `words[0]` and
`words[1]` words.
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
from netchu.synthesis.addresses import Gazetteer, choose, random_address
from netchu.synthesis.syllables import random_syllable

Rng = np.random.Generator

TextGenerator = Callable[[Rng], str]
"""Returns the next text."""


def make_text_generator(params: SyntheticParams, corpus: Path | None) -> TextGenerator:
    """Return a generator of texts; it can be pickled.

    Args:
        params: `text` names the kind of text, `words` gives the fewest and most words.
        corpus: the fetched folder of vietnam_dataset for addresses (None makes names up), of
            truyen_kieu for verse.

    Raises:
        NetchuError: `words` is not a range, `text` is empty, verse has no corpus, or a corpus
            holds no texts.
    """
    low, high = params.words
    if not 1 <= low <= high:
        raise NetchuError(
            f"words: [{low}, {high}] is not a range; give the fewest, 1 or more, then the most"
        )
    match params.text:
        case "syllable":
            return partial(_syllables, low=low, high=high)
        case "address":
            gazetteer = Gazetteer.from_addresses(vietnam_dataset.texts(corpus) if corpus else [])
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
    """Return addresses with enough words, or a window of an address that has too many.

    A third of the windows start with the address, another third end with it.
    """
    words: list[str] = []
    while len(words) < low:
        words += random_address(rng, gazetteer).split()
    if len(words) > high:
        count = int(rng.integers(low, high + 1))
        spare = len(words) - count
        start = min(max(int(rng.integers(-spare, 2 * spare + 1)), 0), spare)
        words = words[start : start + count]
        words[-1] = words[-1].rstrip(",")
    return normalise(" ".join(words))


def _syllables(rng: Rng, low: int, high: int) -> str:
    """Return unrelated syllables in the letter case of a sentence, of names, or of a heading.

    Headings are frequent because no other text has capitals with diacritics.
    """
    words = [random_syllable(rng) for _ in range(int(rng.integers(low, high + 1)))]
    case = rng.random()
    if case < 0.25:
        words[0] = words[0].capitalize()
    elif case < 0.4:
        words = [word.capitalize() for word in words]
    elif case < 0.6:
        words = [word.upper() for word in words]
    for index in range(len(words)):
        kind = rng.random()
        if kind < 0.07:
            words[index] = _number(rng)
        elif kind < 0.16:
            words[index] += choose(rng, list(",,,,...?!:;"))
        elif kind < 0.18:
            pair = choose(rng, ["()", '""', "“”", "''", "[]"])
            words[index] = pair[0] + words[index] + pair[1]
        elif kind < 0.20:
            words[index] = choose(rng, list(PUNCTUATION[1:] + "--–/…"))
    return normalise(" ".join(words))


def _number(rng: Rng) -> str:
    """Return a number: plain, with a letter, a slash, a full stop or a colon, or many digits."""
    kind = rng.random()
    number = str(int(10 ** rng.uniform(0, 3)))
    if kind < 0.5:
        return number
    if kind < 0.65:
        return number + choose(rng, list("ABCDEFGHKLMNPabcdfw"))
    if kind < 0.85:
        return number + choose(rng, list("////-.,:")) + str(int(10 ** rng.uniform(0, 2.4)))
    if kind < 0.95:
        return choose(rng, list("ABCDEFHKLMNPTWZJ")) + number
    return "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(4, 11))))


def _verse(rng: Rng, verses: list[str], low: int, high: int) -> str:
    """Return consecutive words of the poem from a random verse; the poem starts over at its end."""
    count = int(rng.integers(low, high + 1))
    index = int(rng.integers(len(verses)))
    words: list[str] = []
    while len(words) < count:
        words += verses[index % len(verses)].split()
        index += 1
    start = int(rng.integers(0, len(words) - count + 1)) if rng.random() < 0.5 else 0
    return " ".join(words[start : start + count])
