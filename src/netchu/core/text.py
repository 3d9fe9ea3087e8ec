"""The only place that normalises text, and the alphabet every recogniser writes.

Vietnamese text comes in composed (NFC) and decomposed (NFD) form; compared with one another a
correct line scores false errors. Text is brought to NFC once, at the door, by `normalise`.
"""

from __future__ import annotations

import unicodedata

from netchu.core.errors import NetchuError

TONES = {
    "": "level",
    "\u0300": "grave",
    "\u0301": "acute",
    "\u0303": "tilde",
    "\u0309": "hook",
    "\u0323": "dot",
}
"""Combining tone mark -> its name; no mark is the level tone."""

VOWEL_MARKS = {"\u0302": "circumflex", "\u0306": "breve", "\u031b": "horn"}
"""Combining marks that make another vowel (â ê ô, ă, ơ ư); the bar of đ is handled apart."""

VOWELS = "aăâeêioôơuưy"
CONSONANTS = "bcdđghklmnpqrstvx" + "fjwz"
PUNCTUATION = " !\"#$%&'()*+,-./:;<=>?@[]_~°²–“”…"

_LOOK_ALIKES = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "`": "'",
        "´": "'",
        "—": "–",
        "−": "-",
        "\u00a0": " ",
        "\u200b": "",
        "\ufeff": "",
        "Ð": "Đ",
        "ð": "đ",
    }
)


def _letters() -> str:
    lower = [
        unicodedata.normalize("NFC", vowel + tone) for vowel in VOWELS for tone in TONES
    ] + list(CONSONANTS)
    return "".join(sorted(lower)) + "".join(sorted(letter.upper() for letter in lower))


ALPHABET: str = PUNCTUATION + "0123456789" + _letters()
"""Every character a recogniser may write: 186 letters, 10 digits, punctuation and the space."""


def normalise(text: str) -> str:
    """Return `text` in NFC with look-alike characters unified and runs of space made one."""
    unified = unicodedata.normalize("NFC", text).translate(_LOOK_ALIKES)
    # Again, for what fell away (a zero-width space, say) may have stood between letter and mark.
    return " ".join(unicodedata.normalize("NFC", unified).split())


def check_label(text: str, where: str) -> str:
    """Return `text` unchanged if it can stand as a label; `where` names it in the error.

    Raises:
        NetchuError: the text is empty, is not normalised (NFD, say), or leaves the alphabet.
    """
    if not text.strip():
        raise NetchuError(f"{where}: empty label; give the line its text or leave the line out")
    if text != normalise(text):
        raise NetchuError(f"{where}: label {text!r} is not in NFC; pass it through text.normalise")
    if outside := sorted(set(text) - set(ALPHABET)):
        names = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in outside)
        raise NetchuError(
            f"{where}: {names} outside the alphabet; leave the line out or extend text.ALPHABET"
        )
    return text


def decompose(letter: str) -> tuple[str, str, str]:
    """Split one NFC character into (base letter, vowel mark, tone): 'ế' is e, circumflex, acute.

    Case stays with the base; 'đ' gives ('d', 'bar', 'level'); no mark is ''.
    """
    if letter in "đĐ":
        return ("d" if letter == "đ" else "D", "bar", "level")
    base, tone, mark = "", "level", ""
    for part in unicodedata.normalize("NFD", letter):
        if part in TONES:
            tone = TONES[part]
        elif part in VOWEL_MARKS:
            mark = VOWEL_MARKS[part]
        else:
            base += part
    return base, mark, tone


def split_tone(syllable: str) -> tuple[str, str, int]:
    """Take the tone off: 'Tiếng' is ('Tiêng', 'acute', 2); without one ('ba', 'level', -1)."""
    for place, letter in enumerate(syllable):
        if (tone := decompose(letter)[2]) != "level":
            plain = "".join(
                part for part in unicodedata.normalize("NFD", letter) if part not in TONES
            )
            plain = unicodedata.normalize("NFC", plain)
            return syllable[:place] + plain + syllable[place + 1 :], tone, place
    return syllable, "level", -1


_OLD_STYLE = ("oa", "oe", "uy")


def fold_tone_placement(text: str) -> str:
    """Write the two placements of a tone alike: 'hoà' and 'hòa' both become 'hòa'.

    Only an open oa, oe or uy at the end of a word admits two spellings ('quý' does not: its u
    belongs to the q).
    """
    return " ".join(_fold_word(word) for word in text.split(" "))


def _fold_word(word: str) -> str:
    core = word.rstrip(PUNCTUATION)
    if len(core) < 2 or (len(core) > 2 and core[-3] in "qQ"):
        return word
    first, last = core[-2], core[-1]
    plain_last, mark, tone = decompose(last)
    pair = (decompose(first)[0] + plain_last).lower()
    if mark or tone == "level" or decompose(first)[1:] != ("", "level") or pair not in _OLD_STYLE:
        return word
    tone_mark = next(m for m, name in TONES.items() if name == tone)
    moved = unicodedata.normalize("NFC", first + tone_mark) + plain_last
    return core[:-2] + moved + word[len(core) :]


LOOP_UNIT = 30
LOOP_REPEATS = 4
LOOP_LENGTH = 16


def ends_in_loop(text: str) -> bool:
    """Whether `text` ends in a unit of at most 30 characters that repeats without end.

    At least four repeats and 16 characters, so that '1000000' and a row of dots are no loops.
    """
    for unit in range(1, min(LOOP_UNIT, len(text) // LOOP_REPEATS) + 1):
        needed = unit * max(LOOP_REPEATS, -(-LOOP_LENGTH // unit))
        tail = text[-needed:]
        if len(tail) == needed and tail == text[-unit:] * (needed // unit):
            return True
    return False
