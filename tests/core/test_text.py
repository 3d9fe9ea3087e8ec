import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.core import text as module
from netchu.core.errors import NetchuError
from netchu.core.text import (
    ALPHABET,
    TONES,
    VOWEL_MARKS,
    check_label,
    decompose,
    ends_in_loop,
    fold_tone_placement,
    normalise,
    split_tone,
)

VIETNAMESE = st.text(st.sampled_from(ALPHABET))
ANYTHING = st.one_of(
    st.text(), st.text(st.sampled_from("aeoưĐÐ\u0300\u0301\u0302\u0323\u200b\ufeff\u00a0 `’−K;"))
)


@given(VIETNAMESE)
def test_nfc_and_nfd_normalise_to_the_same_text(text):
    wanted = normalise(text)
    for form in ("NFC", "NFD"):
        assert normalise(unicodedata.normalize(form, text)) == wanted
    assert wanted == " ".join(text.split())


@given(ANYTHING)
def test_normalise_gives_nfc_and_is_idempotent(text):
    once = normalise(text)
    assert unicodedata.is_normalized("NFC", once)
    assert normalise(once) == once


def test_similar_characters_are_unified():
    assert normalise("Ð’ường\u00a0 \u200b–−\ufeff") == "Đ'ường –-"


def test_a_mark_after_a_zero_width_space_joins_its_letter():
    assert normalise("a\u200b\u0301") == "á"


@given(VIETNAMESE.map(normalise).filter(bool))
def test_check_label_returns_a_normalised_label(text):
    assert check_label(text, "line 1") is text


@pytest.mark.parametrize(
    ("label", "culprit", "way_out"),
    [
        ("", "empty label", "leave the line out"),
        (" \t", "empty label", "leave the line out"),
        (unicodedata.normalize("NFD", "hoà"), "not in NFC", "text.normalise"),
        ("hai  dấu cách", "'hai  dấu cách'", "text.normalise"),
        ("số 漢字", "'字' (U+5B57), '漢' (U+6F22)", "extend text.ALPHABET"),
    ],
)
def test_the_error_names_an_invalid_label_and_the_fix(label, culprit, way_out):
    with pytest.raises(NetchuError) as caught:
        check_label(label, "kalapa line 7")
    message = str(caught.value)
    assert message.startswith("kalapa line 7: ")
    assert culprit in message
    assert way_out in message
    assert "\n" not in message


def test_the_alphabet_holds_every_vietnamese_letter_once():
    letters = [c for c in ALPHABET if c.isalpha()]
    vowels = [unicodedata.normalize("NFC", v + t) for v in "aăâeêioôơuưy" for t in TONES]
    wanted = {*vowels, *"bcdđghklmnpqrstvxfjwz"}
    assert len(wanted) == 93
    assert set(letters) == wanted | {c.upper() for c in wanted}
    assert len(letters) == 186
    assert len(set(ALPHABET)) == len(ALPHABET)
    assert all(len(c) == 1 and unicodedata.is_normalized("NFC", c) for c in ALPHABET)
    assert set("0123456789 ,./-") <= set(ALPHABET)
    # Weights depend on the order: small letters by code point, then their capitals.
    lower = "".join(sorted(wanted))
    assert ALPHABET.endswith("0123456789" + lower + "".join(sorted(lower.upper())))
    assert ALPHABET.endswith(module._letters())


@pytest.mark.parametrize(
    ("letter", "parts"),
    [
        ("ế", ("e", "circumflex", "acute")),
        ("Ợ", ("O", "horn", "dot")),
        ("ẵ", ("a", "breve", "tilde")),
        ("ỷ", ("y", "", "hook")),
        ("ì", ("i", "", "grave")),
        ("Đ", ("D", "bar", "level")),
        ("đ", ("d", "bar", "level")),
        ("x", ("x", "", "level")),
        ("7", ("7", "", "level")),
        (" ", (" ", "", "level")),
    ],
)
def test_decompose(letter, parts):
    assert decompose(letter) == parts


@given(st.sampled_from(ALPHABET))
def test_decomposed_parts_recompose_to_the_letter(letter):
    base, mark, tone = decompose(letter)
    if mark == "bar":
        assert letter == {"d": "đ", "D": "Đ"}[base]
        return
    combining = {name: sign for sign, name in (TONES | VOWEL_MARKS | {"": ""}).items()}
    parts = base + combining[mark] + ("" if tone == "level" else combining[tone])
    assert unicodedata.normalize("NFC", parts) == letter


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("hoà", "hòa"),
        ("hòa", "hòa"),
        ("Hoà", "Hòa"),
        ("HOÀ", "HÒA"),
        ("thuỷ", "thủy"),
        ("thủy", "thủy"),
        ("khoẻ", "khỏe"),
        ("xã Yên Hoà, Thuỷ", "xã Yên Hòa, Thủy"),
        ("quý", "quý"),
        ("Quỳ", "Quỳ"),
        ("hoàn", "hoàn"),
        ("hoa", "hoa"),
        ("quả", "quả"),
        ("uỷ", "ủy"),
        ("", ""),
    ],
)
def test_fold_tone_placement(written, folded):
    assert fold_tone_placement(written) == folded


@given(VIETNAMESE)
def test_fold_tone_placement_is_idempotent_and_keeps_letters_and_tones(text):
    folded = fold_tone_placement(text)
    assert fold_tone_placement(folded) == folded
    assert [decompose(c)[:2] for c in folded] == [decompose(c)[:2] for c in text]
    assert sorted(decompose(c)[2] for c in folded) == sorted(decompose(c)[2] for c in text)


@pytest.mark.parametrize(
    ("syllable", "parts"),
    [
        ("Tiếng", ("Tiêng", "acute", 2)),
        ("ba", ("ba", "level", -1)),
        ("đường", ("đương", "grave", 2)),
        ("Ợ", ("Ơ", "dot", 0)),
        ("quả", ("qua", "hook", 2)),
        ("mã", ("ma", "tilde", 1)),
        ("", ("", "level", -1)),
    ],
)
def test_split_tone(syllable, parts):
    assert split_tone(syllable) == parts


@pytest.mark.parametrize(
    ("text", "endless"),
    [
        ("Hà Nội Hà Nội Hà Nội Hà Nội ", True),
        ("số 12 " + "a" * 16, True),
        ("số 12 " + "a" * 15, False),
        ("1000000", False),
        ("..............", False),
        ("đường Láng, Đống Đa, Hà Nội", False),
        ("", False),
        ("xa xa xa", False),
        ("Hà Nội Hà Nội Hà Nội Hà Nội hết", False),
        (4 * "abcdefghijklmnopqrstuvwxyzăâđê", True),
        (4 * "abcdefghijklmnopqrstuvwxyzăâđêô", False),  # a unit of 31 characters
        ("e" * 16, True),
    ],
)
def test_ends_in_loop(text, endless):
    assert ends_in_loop(text) is endless


@given(VIETNAMESE, st.text(st.sampled_from("abcđ "), min_size=1, max_size=30))
def test_a_unit_repeated_sixteen_times_is_a_loop(before, unit):
    assert ends_in_loop(before + unit * 16)
