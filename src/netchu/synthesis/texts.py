"""Random texts of synthetic lines: syllables, addresses, verse, prose, forms, foreign words.

Every text is normalised, consists of characters of `text.ALPHABET`, and has between `words[0]` and
`words[1]` words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.params import SyntheticParams
from netchu.core.text import PUNCTUATION, normalise
from netchu.data.held_out import HeldOutTexts
from netchu.data.parse import truyen_kieu, vi_forms, vi_news, vi_wikipedia, vietnam_dataset
from netchu.synthesis.addresses import Gazetteer, choose, random_address
from netchu.synthesis.foreign_words import WORDS, foreign_words, random_foreign
from netchu.synthesis.form_fields import random_field
from netchu.synthesis.syllables import SYLLABLES, random_syllable

Rng = np.random.Generator

CORPORA = {
    "syllable": (),
    "address": ("vietnam_dataset", "vi_forms"),
    "verse": ("truyen_kieu",),
    "prose": ("vi_news", "vi_wikipedia"),
    "form": ("vi_forms",),
    "foreign": ("vi_news", "vi_wikipedia"),
}
"""Kind of text -> the sources whose folders it may read."""

NEEDS_CORPUS = ("verse", "prose", "form")

PROSE = {"vi_news": vi_news.texts, "vi_wikipedia": vi_wikipedia.texts}


@dataclass(frozen=True)
class TextGenerator:
    """Returns the next text when it is called; it can be pickled.

    Attributes:
        generate: makes a text.
        counts: sentences of the corpora that may be drawn, and those that are left out.
    """

    generate: Callable[[Rng], str]
    counts: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, rng: Rng) -> str:
        """Return a text of the alphabet, normalised."""
        return self.generate(rng)


def make_text_generator(
    params: SyntheticParams, corpora: Sequence[Path] = (), held_out: HeldOutTexts | None = None
) -> TextGenerator:
    """Return a generator of texts.

    Args:
        params: `text` names the kind of text, `words` gives the fewest and most words.
        corpora: fetched folders, named like their sources; see `CORPORA`.
        held_out: texts of which the sentences of prose must not share four words in a row.

    Raises:
        NetchuError: `words` is not a range, `text` is empty, a corpus is missing or of no use for
            this text, or a corpus holds no texts.
    """
    low, high = params.words
    if not 1 <= low <= high:
        raise NetchuError(
            f"words: [{low}, {high}] is not a range; give the fewest, 1 or more, then the most"
        )
    if not params.text:
        raise NetchuError(f"text is missing; set it to {', '.join(CORPORA)}")
    found = _check_corpora(params.text, corpora)
    match params.text:
        case "syllable":
            return TextGenerator(partial(_syllables, low=low, high=high))
        case "address":
            draw: Callable[[Rng], str] = partial(random_address, gazetteer=_gazetteer(found))
            return TextGenerator(partial(_window, draw=draw, low=low, high=high))
        case "form":
            draw = partial(random_field, forms=vi_forms.texts(found["vi_forms"]))
            return TextGenerator(partial(_window, draw=draw, low=low, high=high))
        case "verse":
            if not (verses := truyen_kieu.texts(found["truyen_kieu"])):
                raise NetchuError(f"no verses in {found['truyen_kieu']}; run 'dvc repro download'")
            return TextGenerator(partial(_verse, verses=verses, low=low, high=high))
        case "prose":
            sentences, counts = read_prose(found, held_out)
            if not sentences:
                raise NetchuError(
                    f"no sentences in {', '.join(map(str, found.values()))}; "
                    "run 'dvc repro download'"
                )
            return TextGenerator(partial(_prose, sentences=sentences, low=low, high=high), counts)
        case "foreign":
            sentences, counts = read_prose(found, held_out)
            words = foreign_words(sentences, SYLLABLES) or WORDS
            draw = partial(_foreign, sentences=sentences, words=words, low=low, high=high)
            return TextGenerator(draw, counts)


def _check_corpora(text: str, corpora: Sequence[Path]) -> dict[str, Path]:
    """Return the folders by source, after checking that the text needs them and no other."""
    useful = CORPORA[text]
    found = {folder.name: folder for folder in corpora}
    if unknown := sorted(set(found) - set(useful)):
        uses = f"it reads {' and '.join(useful)}" if useful else "it reads none"
        raise NetchuError(f"text {text} has no use for the corpus {unknown[0]}; {uses}")
    if not found and text in NEEDS_CORPUS:
        raise NetchuError(f"{text} needs a corpus; set corpora to folders of {', '.join(useful)}")
    return found


def _gazetteer(found: Mapping[str, Path]) -> Gazetteer:
    if "vietnam_dataset" not in found:
        if found:
            raise NetchuError("addresses of vi_forms need streets; add vietnam_dataset to corpora")
        return Gazetteer.from_addresses([])
    forms = vi_forms.texts(found["vi_forms"]) if "vi_forms" in found else None
    gazetteer = Gazetteer.from_addresses(vietnam_dataset.texts(found["vietnam_dataset"]), forms)
    if not gazetteer.streets:
        raise NetchuError(f"no streets in {found['vietnam_dataset']}; run 'dvc repro download'")
    return gazetteer


def read_prose(
    folders: Mapping[str, Path], held_out: HeldOutTexts | None
) -> tuple[list[str], dict[str, int]]:
    """Return the sentences of sources of prose that share no words with held-out texts.

    Args:
        folders: source -> its fetched folder.
        held_out: the texts to avoid; None keeps every sentence.

    Returns:
        The sentences, and per source how many are used and how many are left out.
    """
    used: list[str] = []
    counts: dict[str, int] = {}
    for name, folder in folders.items():
        sentences = PROSE[name](folder)
        kept = held_out.keep_others(sentences) if held_out else sentences
        counts |= {f"{name}, used": len(kept), f"{name}, held out": len(sentences) - len(kept)}
        used += kept
    return used, counts


def _window(rng: Rng, draw: Callable[[Rng], str], low: int, high: int) -> str:
    """Return drawn texts with enough words, or a window of a text that has too many.

    A third of the windows start with the text, another third end with it.
    """
    words: list[str] = []
    while len(words) < low:
        words += draw(rng).split()
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


def _prose(rng: Rng, sentences: Sequence[str], low: int, high: int) -> str:
    """Return a line of running text as it is wrapped on paper.

    Lines are mostly of average length; they begin anywhere and go on into the next sentence, but
    some are the short last one of a paragraph.
    """
    count = int(np.clip(round(rng.normal((low + high) / 2, (high - low) / 5)), low, high))
    index = int(rng.integers(len(sentences)))
    words = sentences[index].split()
    start = int(rng.integers(len(words))) if rng.random() < 0.7 else 0
    words = words[start : start + count]
    ends_paragraph = rng.random() < 0.3
    while len(words) < (low if ends_paragraph else count):
        index += 1
        words += sentences[index % len(sentences)].split()[: count - len(words)]
    return " ".join(words)


def _foreign(
    rng: Rng, sentences: Sequence[str], words: tuple[str, ...], low: int, high: int
) -> str:
    """Return a line with foreign words: between Vietnamese ones, or alone."""
    count = int(rng.integers(low, high + 1))
    if rng.random() < 0.3:
        line = [random_foreign(rng, words) for _ in range(count)]
    else:
        line = (
            _prose(rng, sentences, count, count).split()
            if sentences
            else [random_syllable(rng) for _ in range(count)]
        )
        for place in rng.permutation(count)[: int(rng.integers(1, 4))].tolist():
            line[place] = random_foreign(rng, words)
    return normalise(" ".join(line))
