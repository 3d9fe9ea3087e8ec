"""Letters and tones are found among the strokes of a word, and exchanged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pen
from netchu.core.text import split_tone
from netchu.synthesis.letters import find_outliers, split_initial, split_letters
from netchu.synthesis.stroke_groups import align_left, concatenate, shear_and_stretch
from netchu.synthesis.tones import change_tone, find_tone

WORDS = ("ba", "bà", "bá", "bả", "bã", "bạ", "hoà", "ngon", "vẫn", "hết", "Quế", "cao", "12", "305")


def group(text):
    return align_left(pen.word(text))


@pytest.mark.parametrize("text", [w for w in WORDS if split_tone(w)[1] != "level"])
def test_the_tone_of_a_word_is_found(text):
    found = find_tone(text, group(text))
    with_tone, without = pen.word(text), pen.word(split_tone(text)[0])
    assert found is not None
    rest = [s for i, s in enumerate(with_tone) if i != found.stroke_index]
    assert all(np.array_equal(a, b) for a, b in zip(rest, without, strict=True))


@pytest.mark.parametrize("text", ["ba", "ngon", "12"])
def test_a_word_without_a_tone_has_no_tone_stroke(text):
    assert find_tone(text, group(text)) is None


def test_a_stroke_of_another_shape_is_not_the_tone():
    assert find_tone("bá", group("bà")) is None
    assert find_tone("bã", group("bá")) is None


@given(st.sampled_from("aàáảãạ"), st.sampled_from("aàáảãạ"), st.sampled_from("bđhm"))
def test_any_tone_can_replace_any_other(old, new, initial):
    donor, wanted = initial + old, initial + new
    if donor == wanted:
        return
    tone = split_tone(wanted)[1]
    mark = find_tone(wanted, group(wanted)).mark if tone != "level" else None
    changed = change_tone(donor, group(donor), wanted, mark)
    assert len(changed.strokes) == len(pen.word(wanted))
    if tone != "level":
        again = find_tone(wanted, changed)
        assert again is not None
        assert abs(again.x - find_tone(wanted, group(wanted)).x) < 0.5


def test_a_tone_moves_with_the_letter_that_carries_it():
    mark = find_tone("hoà", group("hoà")).mark
    moved = change_tone("hoà", group("hoà"), "hòa", mark)
    assert find_tone("hòa", moved).x < find_tone("hoà", group("hoà")).x - 0.5


@pytest.mark.parametrize("text", ["bao", "305", "Qua"])
def test_letters_with_separate_strokes_are_split(text):
    letters = split_letters(text, group(text), 0.0)
    assert "".join(letter for letter, _ in letters) == text
    for letter, part in letters:
        assert np.allclose(part.strokes[0], align_left(pen.letter(letter)).strokes[0], atol=1e-5)


def test_letters_in_one_stroke_are_not_split():
    joined = align_left([np.concatenate(pen.word("bao"))])
    assert split_letters("bao", joined, 0.0) == []
    assert split_initial("bao", joined, 0.0) is None


def test_a_low_stroke_is_not_a_letter_with_an_ascender():
    assert split_letters("h", group("o"), 0.0) == []
    assert split_letters("h", group("h"), 0.0) != []


def test_a_letter_unlike_the_others_is_an_outlier():
    assert find_outliers([group("o")] * 9 + [group("-")]) == [False] * 9 + [True]


def test_groups_are_placed_side_by_side_without_the_first_gap():
    row = concatenate([group("o"), group("o")], [9.0, 0.5])
    assert row.width == pytest.approx(2 * group("o").width + 0.5)


def test_a_negative_shear_leans_to_the_right():
    upright = align_left([pen.stroke([(0, -2), (0, 0)])])
    assert shear_and_stretch(upright, -0.5, 1.0).strokes[0].tolist() == [[1, -2], [0, 0]]
