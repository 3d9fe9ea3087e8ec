"""Vietnamese syllables built from initial × rime × tone, in standard spelling.

The rules are those of school grammar: k, gh, ngh before i e ê y and c, g, ng elsewhere; a rime
that ends in p, t, c, ch takes only the acute or the dot; the tone stands on the marked vowel, on
the last vowel before a final consonant, or on the last but one of an open rime. The letters f, j,
w, z, which Vietnamese does not use, come in foreign syllables.
"""

from __future__ import annotations

import re

import numpy as np

from netchu.core.text import TONES, VOWELS, decompose, normalise


def _list(words: str) -> tuple[str, ...]:
    return tuple(words.split())


INITIALS = _list("b c ch d đ g gi h kh l m n ng nh p ph r s t th tr v x")
RIMES = _list(
    """
    a e ê i o ô ơ u ư ia ua ưa ai ao au âu ay ây eo êu iu iêu oi ôi ơi ui ưi uôi ươi ươu ưu
    oa oe oai oay uy uê uơ uya uây
    am ăm âm em êm im om ôm ơm um iêm uôm ươm an ăn ân en ên in on ôn ơn un iên uôn ươn
    oan oăn oen uân uyên ang ăng âng eng ong ông ung ưng iêng uông ương oang oăng uâng
    anh ênh inh oanh uynh
    ap ăp âp ep êp ip op ôp ơp up iêp ươp at ăt ât et êt it ot ôt ơt ut ưt iêt uôt ươt
    oat oăt oet uât uyêt uyt ac ăc âc oc ôc uc ưc iêc uôc ươc oac oăc ach êch ich oach uych
    """
)
AFTER_QU = _list(
    "a e ê ơ y ai ay ao an ăn ân ang ăng anh ach ac at ăt ât ây en ên eo et êt ôc yên yêt yt ynh"
)
BEFORE_Y = _list("h k l m s t v")
"""Initials after which i may also be written y: lý, kỳ, Mỹ."""
NO_GLIDE = _list("b c g gi m p ph v")
"""Initials that do not combine with a rime that starts with a glide (oa, oe, uy, uê, uơ, uâ)."""

FOREIGN = tuple(
    initial + rime for initial in "fjwz" for rime in _list("a e i o u an en in on un at it ot")
)

EXCLUDED = _list("lồn buồi cặc địt đụ đéo cứt đĩ")
"""Vulgar words; reports show generated lines."""

ACUTE, DOT = "\u0301", "\u0323"
TWO_PLACEMENTS = ("oa", "oe", "uy")
"""Open rimes whose tone may stand on either vowel."""


def _starts_with_glide(rime: str) -> bool:
    return rime.startswith(("oa", "oă", "oe", "uy", "uê", "uơ", "uâ"))


def _pairs() -> tuple[tuple[str, str], ...]:
    """Return all combinations of an initial and a rime, as they are written."""
    pairs = [("qu", rime) for rime in AFTER_QU]
    pairs += [(initial, "y") for initial in ("", *BEFORE_Y)]
    pairs += [("g", "i"), ("g", "in"), ("gi", "êng")]
    for initial in ("", *INITIALS):
        for rime in RIMES:
            if initial in NO_GLIDE and _starts_with_glide(rime):
                continue
            if initial == "gi" and rime[0] == "i":
                continue
            pairs.append(_spell(initial, rime))
    return tuple(pairs)


def _spell(initial: str, rime: str) -> tuple[str, str]:
    """Return the spelling of an initial before a rime, and of the rime after it."""
    if rime[0] in "ieê":
        initial = {"c": "k", "g": "gh", "ng": "ngh"}.get(initial, initial)
    if initial == "" and rime.startswith("iê"):
        rime = "y" + rime[1:]
    return initial, rime


def place_tone(initial: str, rime: str, tone: str, new_style: bool = False) -> str:
    """Return a syllable with its tone in the right place, in NFC.

    Args:
        initial: initial consonants, or ''.
        rime: the rime without a tone.
        tone: a combining character, or '' for the level tone.
        new_style: place the tone as in 'hoà, thuý' instead of 'hòa, thúy'.
    """
    if not tone:
        return initial + rime
    vowels = [i for i, letter in enumerate(rime) if decompose(letter)[0] in VOWELS]
    marked = [i for i in vowels if decompose(rime[i])[1]]
    closed = len(vowels) < len(rime)
    if marked:
        place = marked[-1]
    elif closed or len(vowels) == 1 or (new_style and rime in TWO_PLACEMENTS):
        place = vowels[-1]
    else:
        place = vowels[-2]
    vowel = normalise(rime[place] + tone)
    return initial + rime[:place] + vowel + rime[place + 1 :]


def _all_syllables() -> tuple[str, ...]:
    """Return every syllable once, in lower case."""
    forms: list[str] = list(FOREIGN)
    for initial, rime in _pairs():
        stopped = rime.endswith(("p", "t", "c", "ch"))
        tones = (ACUTE, DOT) if stopped else tuple(TONES)
        forms += [place_tone(initial, rime, tone) for tone in tones]
        if rime in TWO_PLACEMENTS:
            forms += [place_tone(initial, rime, tone, new_style=True) for tone in tones]
    return tuple(form for form in dict.fromkeys(forms) if form not in EXCLUDED)


def _group_by_letter(forms: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return, for every letter, the syllables that contain it."""
    letters = sorted(set("".join(forms)))
    return tuple(tuple(form for form in forms if letter in form) for letter in letters)


SYLLABLES = _all_syllables()
_BY_LETTER = _group_by_letter(SYLLABLES)


def random_syllable(rng: np.random.Generator) -> str:
    """Return one syllable in lower case: a random one of those with a random letter.

    Choosing the letter first makes rare letters frequent, and balances the tones, because each
    tone has twelve vowels.
    """
    candidates = _BY_LETTER[int(rng.integers(len(_BY_LETTER)))]
    return candidates[int(rng.integers(len(candidates)))]


_NEW_STYLE = {
    place_tone("", rime, tone): place_tone("", rime, tone, new_style=True)
    for rime in TWO_PLACEMENTS
    for tone in TONES
    if tone
}
_OLD_ENDING = re.compile(rf"({'|'.join(_NEW_STYLE)})\b")


def to_new_style(text: str) -> str:
    """Move the tone of every final lower-case oa, oe, uy: 'Hòa Thúy' becomes 'Hoà Thuý'."""
    return _OLD_ENDING.sub(lambda match: _NEW_STYLE[match[1]], text)
