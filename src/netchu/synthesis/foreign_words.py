"""Random words that are no Vietnamese: brands, English, addresses of the web, codes, prices.

A language model of Vietnamese makes Vietnamese of them, and a network that has never seen them
reads `$` as a digit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from netchu.synthesis.addresses import choose

Rng = np.random.Generator

WORDS = tuple(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split())
"""English words of technology, trade and everyday life."""

_ONSETS = (
    "b",
    "bl",
    "br",
    "c",
    "cr",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "qu",
    "r",
    "s",
    "sh",
    "sk",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "x",
    "z",
    "",
)
_VOWELS = ("a", "e", "i", "o", "u", "ee", "oo", "ia", "io", "ea", "y", "ai")
_CODAS = ("", "", "", "n", "r", "x", "s", "l", "ck", "m", "t", "nd", "rt", "d", "ss", "ll", "f")
_ENDINGS = ("", "", "tech", "pay", "soft", "lab", "mart", "food", "net", "ware", "go", "ly", "er",
            "ex", "home", "group", "store", "care", "max", "pro")  # fmt: skip
_DOMAINS = ("com", "vn", "com.vn", "net", "org", "edu.vn", "gov.vn", "io", "info", "shop")
_MAILS = ("gmail.com", "gmail.com", "gmail.com", "yahoo.com", "outlook.com", "hotmail.com")
_UNITS = ("kg", "GB", "MB", "km", "mm", "ml", "Hz", "W", "px", "$", "USD", "EUR", "°C", "%")
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_KEYS = ("x", "y", "i", "n", "id", "key", "user", "name", "value", "data", "count", "price", "sum")


def random_brand(rng: Rng) -> str:
    """Return a made-up name of a company or a product."""
    parts = [
        choose(rng, _ONSETS) + choose(rng, _VOWELS) + choose(rng, _CODAS)
        for _ in range(int(rng.integers(1, 4)))
    ]
    return "".join(parts) + choose(rng, _ENDINGS)


def random_foreign(rng: Rng, words: tuple[str, ...] = WORDS) -> str:
    """Return something that is no Vietnamese, without a space.

    Args:
        rng: source of randomness.
        words: foreign words to draw from, beside made-up ones.
    """
    make = _MAKERS[int(rng.choice(len(_MAKERS), p=_SHARES))]
    return make(rng, words)


def _case(rng: Rng, word: str) -> str:
    way = rng.random()
    return word.lower() if way < 0.5 else word.upper() if way < 0.65 else word.capitalize()


def _word(rng: Rng, words: tuple[str, ...]) -> str:
    word = choose(rng, words if rng.random() < 0.6 else WORDS)
    return word if rng.random() < 0.4 else _case(rng, word)


def _brand(rng: Rng, words: tuple[str, ...]) -> str:
    brand = _case(rng, random_brand(rng))
    way = rng.random()
    if way < 0.1:
        return f"{brand}&{_case(rng, random_brand(rng))}"
    return brand + str(int(rng.integers(1, 100))) if way < 0.2 else brand


def _plain_name(rng: Rng) -> str:
    word = choose(rng, WORDS) if rng.random() < 0.5 else random_brand(rng)
    if rng.random() < 0.5:
        word += choose(rng, ("", ".", "_", "-")) + choose(rng, WORDS)
    return word + (str(int(10 ** rng.uniform(0, 4))) if rng.random() < 0.4 else "")


def _mail(rng: Rng, words: tuple[str, ...]) -> str:
    host = choose(rng, _MAILS)
    if rng.random() < 0.25:
        host = f"{random_brand(rng)}.{choose(rng, _DOMAINS)}"
    return f"{_plain_name(rng)}@{host}"


def _site(rng: Rng, words: tuple[str, ...]) -> str:
    name = random_brand(rng) if rng.random() < 0.5 else choose(rng, WORDS)
    start = choose(rng, ("", "www.", "www.", "https://", "http://"))
    path = f"/{_plain_name(rng)}" if rng.random() < 0.3 else ""
    return f"{start}{name}.{choose(rng, _DOMAINS)}{path}"


def _code(rng: Rng, words: tuple[str, ...]) -> str:
    """Return a code of a product, flight, room or file: 'VN-1234', 'A15_b', 'report_2.pdf'."""
    way = rng.random()
    number = str(int(10 ** rng.uniform(0, 5)))
    letters = "".join(choose(rng, _CODE_LETTERS) for _ in range(int(rng.integers(1, 4))))
    if way < 0.4:
        return letters + choose(rng, ("", "-", "_", ".", "/")) + number
    if way < 0.6:
        return letters + number + choose(rng, _CODE_LETTERS.lower())
    if way < 0.8:
        return f"{choose(rng, WORDS)}_{_plain_name(rng)}"
    return f"{_plain_name(rng)}.{choose(rng, ('pdf', 'txt', 'py', 'doc', 'xlsx', 'jpg', 'php'))}"


def _amount(rng: Rng, words: tuple[str, ...]) -> str:
    number = int(10 ** rng.uniform(0, 4))
    way = rng.random()
    if way < 0.35:
        return f"${number}" + (f".{int(rng.integers(0, 100)):02d}" if rng.random() < 0.3 else "")
    if way < 0.55:
        return f"{number % 101}%"
    return f"{number}{choose(rng, _UNITS)}"


def _expression(rng: Rng, words: tuple[str, ...]) -> str:
    key = choose(rng, _KEYS)
    value = str(int(10 ** rng.uniform(0, 3)))
    return choose(rng, (
        f"{key}={value}", f"${key}", f"{key}[{value}]", f"{key}({value})", f"#{key}", f"@{key}",
        f"{key}+{value}", f"<{key}>", f"{key}&{choose(rng, _KEYS)}", f"%{key}%", f"_{key}",
    ))  # fmt: skip


_MAKERS: tuple[Callable[[Rng, tuple[str, ...]], str], ...] = (
    _word, _brand, _mail, _site, _code, _amount, _expression,
)  # fmt: skip
_SHARES = (0.36, 0.2, 0.07, 0.07, 0.12, 0.12, 0.06)


def foreign_words(sentences: Collection[str], syllables: Collection[str]) -> tuple[str, ...]:
    """Return the words of `sentences` that are no `syllables`, each once, in order.

    Only words of letters count, and of capitals no more than the first or all of them.
    """
    known = set(syllables)
    found: dict[str, None] = {}
    for sentence in sentences:
        for token in sentence.split():
            word = token.strip("\"“”'(),.:;!?…[]")
            if (
                len(word) > 1
                and word.lower() not in known
                and word.isalpha()
                and (word[1:].islower() or word.isupper())
            ):
                found.setdefault(word)
    return tuple(found)
