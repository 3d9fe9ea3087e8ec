import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET

TEXTS = st.text(st.sampled_from(ALPHABET))


@given(TEXTS, st.integers(0, 5))
def test_what_is_encoded_comes_back(text, specials):
    codec = Codec(ALPHABET, specials)
    ids = codec.encode(text)
    assert codec.decode(ids) == text
    assert all(specials <= i < codec.size for i in ids)


@given(st.lists(st.integers(0, 2), max_size=4), TEXTS)
def test_specials_are_left_out(specials, text):
    codec = Codec(ALPHABET, specials=3)
    assert codec.decode([*specials, *codec.encode(text), *specials]) == text


def test_size_counts_specials():
    assert Codec("abc", specials=3).size == 6
    assert Codec(ALPHABET).size == len(ALPHABET) + 1


def test_every_id_below_size_is_a_character_or_a_special():
    codec = Codec("abc", specials=1)
    assert [codec.decode([i]) for i in range(codec.size)] == ["", "a", "b", "c"]


def test_an_unknown_character_is_named_with_its_text_and_the_way_out():
    with pytest.raises(NetchuError) as caught:
        Codec("abc ").encode("ab ǽ")
    message = str(caught.value)
    assert "'ǽ' (U+01FD) of 'ab ǽ'" in message
    assert "larger alphabet" in message
    assert "\n" not in message


def test_an_alphabet_with_a_letter_twice_is_refused():
    with pytest.raises(NetchuError, match="twice"):
        Codec("abca")
