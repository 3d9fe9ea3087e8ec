"""Spelling of generated syllables, and the balance of letters and tones."""

from collections import Counter

import numpy as np
import pytest

from netchu.core.text import TONES, check_label, decompose, fold_tone_placement
from netchu.synthesis import syllables

ALL = set(syllables.SYLLABLES)

REAL = (
    "nguyễn huệ quý quốc yêu nghĩa giữa khuya hoà hòa thuý thúy người kiều gươm ghế ăn oanh "
    "trường của mía giường quyết gì gìn giếng lý lí kỳ ý y đường phường ngõ ngách hẻm ấp"
)
WRONG = "càc cê gê ngê ka buà qúy hòá nghà giiên uên iêu"


def test_real_syllables_are_generated():
    assert not set(REAL.split()) - ALL


def test_misspelled_syllables_are_not_generated():
    assert not set(WRONG.split()) & ALL


def test_vulgar_words_are_excluded():
    assert not set(syllables.EXCLUDED) & ALL


def test_rimes_that_end_in_a_stop_have_two_tones():
    assert {"mát", "mạt"} <= ALL
    assert not {"mat", "màt", "mảt", "mãt"} & ALL


def test_every_syllable_is_a_valid_label_and_every_vowel_appears():
    for form in ALL:
        check_label(form, form)
    assert len(set("".join(ALL))) == 12 * 6 + len("bcdđghklmnpqrstvx" + "fjwz")


def test_same_seed_same_syllables():
    first, second, other = (
        [syllables.random_syllable(rng) for _ in range(50)]
        for rng in (np.random.default_rng(s) for s in (1, 1, 2))
    )
    assert first == second != other


def test_letters_and_tones_are_balanced():
    rng = np.random.default_rng(0)
    drawn = [syllables.random_syllable(rng) for _ in range(9300)]
    letters = Counter(letter for syllable in drawn for letter in set(syllable))
    assert len(letters) == 93
    assert min(letters.values()) >= 70, "each is chosen about 100 times"
    tones = Counter(
        max((decompose(letter)[2] for letter in syllable), key=lambda tone: tone != "level")
        for syllable in drawn
    )
    assert set(tones) == set(TONES.values())
    assert all(0.13 < count / len(drawn) < 0.21 for count in tones.values())


@pytest.mark.parametrize(
    ("old", "new"),
    [("Hòa Thúy khỏe", "Hoà Thuý khoẻ"), ("quý hoàn thủy, tòa", "quý hoàn thuỷ, toà"),
     ("hóan ùa", "hóan ùa"), ("Hoà", "Hoà")],
)  # fmt: skip
def test_to_new_style(old, new):
    assert syllables.to_new_style(old) == new


def test_new_style_changes_only_the_placement_of_tones():
    for form in ALL:
        assert fold_tone_placement(syllables.to_new_style(form)) == fold_tone_placement(form)
