import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET

TEXTS = st.text(st.sampled_from(ALPHABET))


@given(TEXTS, st.integers(0, 5))
def test_decode_inverts_encode(text, specials):
    codec = Codec(ALPHABET, specials)
    ids = codec.encode(text)
    assert codec.decode(ids) == text
    assert all(specials <= i < codec.size for i in ids)


@given(st.lists(st.integers(0, 2), max_size=4), TEXTS)
def test_decode_leaves_out_special_ids(specials, text):
    codec = Codec(ALPHABET, specials=3)
    assert codec.decode([*specials, *codec.encode(text), *specials]) == text


def test_size_counts_special_ids():
    assert Codec("abc", specials=3).size == 6
    assert Codec(ALPHABET).size == len(ALPHABET) + 1


def test_every_id_below_size_is_a_character_or_a_special():
    codec = Codec("abc", specials=1)
    assert [codec.decode([i]) for i in range(codec.size)] == ["", "a", "b", "c"]


def test_the_error_names_an_unknown_character_and_its_text():
    with pytest.raises(NetchuError) as caught:
        Codec("abc ").encode("ab ǽ")
    message = str(caught.value)
    assert "'ǽ' (U+01FD) of 'ab ǽ'" in message
    assert "larger alphabet" in message
    assert "\n" not in message


def test_a_repeated_character_in_the_alphabet_is_an_error():
    with pytest.raises(NetchuError, match="twice"):
        Codec("abca")
