"""Unicode normalisation of Vietnamese text, and the alphabet of every recogniser.

Vietnamese text comes in composed (NFC) and decomposed (NFD) form, and a comparison of the two
counts errors in a correct line. `normalise` brings text to NFC where it enters the program; no
other module normalises.
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
"""Names of the combining tone marks; the level tone has no mark."""

VOWEL_MARKS = {"\u0302": "circumflex", "\u0306": "breve", "\u031b": "horn"}
"""Names of the combining marks of vowels (â ê ô, ă, ơ ư). The bar of đ is no combining mark."""

VOWELS = "aăâeêioôơuưy"
CONSONANTS = "bcdđghklmnpqrstvx" + "fjwz"
PUNCTUATION = " !\"#$%&'()*+,-./:;<=>?@[]_~°²–“”…"

_REPLACEMENTS = str.maketrans(
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
"""Every character that a recogniser can output: 186 letters, 10 digits, punctuation and space."""


def normalise(text: str) -> str:
    """Return `text` in NFC, with similar characters unified and white space collapsed."""
    unified = unicodedata.normalize("NFC", text).translate(_REPLACEMENTS)
    # NFC again: a removed zero-width space may have separated a letter from its mark.
    return " ".join(unicodedata.normalize("NFC", unified).split())


def check_label(text: str, where: str) -> str:
    """Return `text` if it is a valid label.

    Args:
        text: the label.
        where: what it is called in an error message.

    Raises:
        NetchuError: the text is empty, is not normalised or has a character outside the alphabet.
    """
    if not text.strip():
        raise NetchuError(f"{where}: empty label; give the line its text or leave the line out")
    if text != normalise(text):
        raise NetchuError(f"{where}: label {text!r} is not in NFC; pass it to text.normalise")
    if outside := sorted(set(text) - set(ALPHABET)):
        names = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in outside)
        raise NetchuError(
            f"{where}: {names} outside the alphabet; leave the line out or extend text.ALPHABET"
        )
    return text


def decompose(letter: str) -> tuple[str, str, str]:
    """Split one NFC character into base letter, vowel mark and tone.

    'ế' gives ('e', 'circumflex', 'acute'), 'Đ' gives ('D', 'bar', 'level'), and a character without
    marks gives (character, '', 'level').
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
    """Split a syllable into its toneless form, its tone and the index of the letter with the tone.

    'Tiếng' gives ('Tiêng', 'acute', 2), 'ba' gives ('ba', 'level', -1).
    """
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
    """Unify the two placements of a tone: 'hoà' and 'hòa' both become 'hòa'.

    Only a final oa, oe or uy has two spellings. 'quý' has one, since its u belongs to the q.
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
"""Most characters of the repeated unit of a loop."""

LOOP_REPEATS = 4
"""Fewest repeats of the unit."""

LOOP_LENGTH = 16
"""Fewest characters of a loop."""


def ends_in_loop(text: str) -> bool:
    """Return whether `text` ends in a repeated unit, as the output of a decoder in a loop does.

    A loop is a unit of at most LOOP_UNIT characters, at least LOOP_REPEATS times and at least
    LOOP_LENGTH characters in all, so '1000000' and a row of dots are no loops.
    """
    for unit in range(1, min(LOOP_UNIT, len(text) // LOOP_REPEATS) + 1):
        needed = unit * max(LOOP_REPEATS, -(-LOOP_LENGTH // unit))
        tail = text[-needed:]
        if len(tail) == needed and tail == text[-unit:] * (needed // unit):
            return True
    return False
