"""What the synthetic lines say: single syllables, addresses, verse.

Every text is normalised, inside `text.ALPHABET`, and has between `words[0]` and `words[1]` words.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from netchu.errors import NetchuError
from netchu.params import SyntheticParams
from netchu.sources import truyen_kieu, vietnam_dataset
from netchu.synth import syllables
from netchu.text import PUNCTUATION, normalise

Rng = np.random.Generator
Writer = Callable[[Rng], str]

PROVINCES = Path(__file__).with_name("provinces.txt")

SHORT_FORMS = {
    "Đường": ("Đường", "đường", "Đ.", "đ.", "phố", "Phố", ""),
    "Phường": ("Phường", "phường", "P.", "P", "F", ""),
    "Xã": ("Xã", "xã", "X.", ""),
    "Thị trấn": ("Thị trấn", "thị trấn", "TT", "TT.", ""),
    "Quận": ("Quận", "quận", "Q.", "Q", ""),
    "Huyện": ("Huyện", "huyện", "H.", ""),
    "Thị xã": ("Thị xã", "thị xã", "TX", "Tx", "TX.", ""),
    "Thành phố": ("Thành phố", "thành phố", "TP", "TP.", "Tp", "Tp.", ""),
    "Thành Phố": ("Thành Phố", "TP."),
}
"""How people shorten the kind of a place; '' leaves it out."""

CITIES = ("Hồ Chí Minh", "Hà Nội", "Đà Nẵng", "Hải Phòng", "Cần Thơ")
HOUSES = ("Số", "số", "Số nhà", "SN", "sn", "Nhà số", "")
PLACES = (
    *("Tổ", "tổ", "Ngõ", "ngõ", "Ngách", "ngách", "Hẻm", "hẻm", "Kiệt", "Ấp", "ấp", "Thôn"),
    *("thôn", "Xóm", "xóm", "Khu phố", "KP", "Khu", "Đội", "đội", "Lô", "lô", "Khóm", "khóm"),
    *("Tổ dân phố", "TDP", "Bản", "Buôn", "Căn hộ", "Phòng", "Chung cư", "KCN", "Quốc lộ", "QL"),
)


def writer_of_text(params: SyntheticParams, corpus: Path | None) -> Writer:
    """A function that draws the next text from a random generator.

    corpus: the fetched folder of vietnam_dataset for addresses (None makes names up), of
        truyen_kieu for verse.

    Raises:
        NetchuError: `words` is no range, or verse was asked for without its corpus.
    """
    low, high = params.words
    if not 1 <= low <= high:
        raise NetchuError(f"words: [{low}, {high}] is no range; write the fewest, then the most")
    match params.text:
        case "syllable":
            return lambda rng: _syllables(rng, low, high)
        case "address":
            tails = vietnam_dataset.texts(corpus) if corpus else []
            provinces = PROVINCES.read_text(encoding="utf-8").splitlines()
            return lambda rng: _bounded(lambda: _address(rng, tails, provinces), rng, low, high)
        case "verse":
            if corpus is None:
                raise NetchuError("verse needs a corpus; set it to the folder of truyen_kieu")
            verses = truyen_kieu.texts(corpus)
            return lambda rng: _verse(rng, verses, low, high)


def _bounded(draw: Callable[[], str], rng: Rng, low: int, high: int) -> str:
    """Draw until there are words enough; take a window where there are too many."""
    words: list[str] = []
    while len(words) < low:
        words += draw().split()
    if len(words) > high:
        count = int(rng.integers(low, high + 1))
        start = int(rng.integers(0, len(words) - count + 1))
        words = words[start : start + count]
    return normalise(" ".join(words))


def _pick(rng: Rng, choices: tuple[str, ...] | list[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _syllables(rng: Rng, low: int, high: int) -> str:
    """Unrelated syllables, in the letter case of a sentence, of names, or of a heading."""
    words = [syllables.draw(rng) for _ in range(int(rng.integers(low, high + 1)))]
    case = rng.random()
    if case < 0.3:
        words[0] = words[0].capitalize()
    elif case < 0.5:
        words = [word.capitalize() for word in words]
    elif case < 0.56:
        words = [word.upper() for word in words]
    for place in range(len(words)):
        kind = rng.random()
        if kind < 0.07:
            words[place] = _number(rng)
        elif kind < 0.16:
            words[place] += _pick(rng, list(",,,,...?!:;"))
        elif kind < 0.18:
            pair = _pick(rng, ["()", '""', "“”", "''", "[]"])
            words[place] = pair[0] + words[place] + pair[1]
        elif kind < 0.20:
            words[place] = _pick(rng, list(PUNCTUATION[1:] + "--–/…"))
    return normalise(" ".join(words))


def _number(rng: Rng) -> str:
    """A number as people write them: plain, with a letter, a slash, a full stop or a colon."""
    kind = rng.random()
    number = str(int(10 ** rng.uniform(0, 3)))
    if kind < 0.5:
        return number
    if kind < 0.65:
        return number + _pick(rng, list("ABCDEFGHKLMNPabcdfw"))
    if kind < 0.85:
        return number + _pick(rng, list("////-.,:")) + str(int(10 ** rng.uniform(0, 2.4)))
    if kind < 0.95:
        return _pick(rng, list("ABCDEFHKLMNPTWZJ")) + number
    return "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(4, 11))))


def _name(rng: Rng) -> str:
    """A made-up place name of one to three syllables."""
    return " ".join(syllables.draw(rng).capitalize() for _ in range(int(rng.integers(1, 4))))


def _made_up(rng: Rng, provinces: list[str]) -> str:
    """The tail of an address with names that no map has, in a real province."""
    ward = _pick(rng, ["Phường", "Xã", "Thị trấn"])
    district = _pick(rng, ["Quận", "Huyện", "Thị xã", "Thành phố"])
    names = [_name(rng), _name(rng), _name(rng)]
    if ward == "Phường" and rng.random() < 0.2:
        names[1] = str(int(rng.integers(1, 25)))
    if district == "Quận" and rng.random() < 0.3:
        names[2] = str(int(rng.integers(1, 13)))
    return f"Đường {names[0]}, {ward} {names[1]}, {district} {names[2]}, {_pick(rng, provinces)}"


def _address(rng: Rng, tails: list[str], provinces: list[str]) -> str:
    """An address as people write it on a form: parts left out, shortened, joined their way."""
    tail = _pick(rng, tails) if tails else _made_up(rng, provinces)
    *parts, province = tail.split(", ")
    kept = [_shorten(rng, part) for part in parts if rng.random() < 0.8]
    if rng.random() < 0.35:
        kept.insert(0, f"{_pick(rng, PLACES)} {_number(rng) if rng.random() < 0.7 else _name(rng)}")
    if rng.random() < 0.85:
        kept.append(_province(rng, province))
    house = f"{_pick(rng, HOUSES)} {_number(rng)}".strip() if rng.random() < 0.6 else ""
    joint = _pick(rng, [", ", ", ", ", ", " ", " ", " ", " - ", " – ", ","])
    text = joint.join(kept)
    if not house:
        return text
    return house + _pick(rng, [" ", " ", " ", ", "]) + text


def _shorten(rng: Rng, part: str) -> str:
    for kind in sorted(SHORT_FORMS, key=len, reverse=True):
        if part.startswith(kind + " "):
            name = part.removeprefix(kind + " ")
            form = _pick(rng, SHORT_FORMS[kind])
            if name[0].isdigit():
                return f"{form}{name}" if form in ("P", "Q", "F") else f"{form or kind} {name}"
            return f"{form} {name}".strip()
    return part


def _province(rng: Rng, name: str) -> str:
    if name not in CITIES:
        return f"{_pick(rng, ['', '', '', 'tỉnh ', 'Tỉnh ', 'T. '])}{name}"
    if name == "Hồ Chí Minh" and rng.random() < 0.3:
        return _pick(rng, ["TPHCM", "TP.HCM", "TP HCM", "Tp. HCM", "HCM"])
    return _pick(rng, ["", "", "TP ", "TP. ", "Tp. ", "Thành phố ", "thành phố "]) + name


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
