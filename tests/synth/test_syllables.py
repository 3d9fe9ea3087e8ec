"""Spelling of generated syllables."""

import numpy as np

from netchu.synth import syllables
from netchu.text import check_label

ALL = {form for group in syllables.SYLLABLES for form in group}


REAL = (
    "nguyễn huệ quý quốc yêu nghĩa giữa khuya hoà hòa thuý thúy người kiều gươm ghế ăn oanh "
    "trường của mía giường quyết gì gìn giếng lý lí kỳ ý y đường phường ngõ ngách hẻm ấp"
)
WRONG = "càc cê gê ngê ka buà qúy hòá nghà giiên uên iêu"


def test_real_syllables_can_be_drawn():
    assert not set(REAL.split()) - ALL


def test_what_the_spelling_forbids_is_never_drawn():
    assert not set(WRONG.split()) & ALL


def test_unfit_words_are_left_out():
    assert not set(syllables.UNFIT) & ALL


def test_stops_take_only_two_tones():
    assert {"mát", "mạt"} <= ALL
    assert not {"mat", "màt", "mảt", "mãt"} & ALL


def test_every_form_is_a_label_and_every_vowel_appears():
    for form in ALL:
        check_label(form, form)
    assert len(set("".join(ALL))) == 12 * 6 + len("bcdđghklmnpqrstvx")


def test_same_seed_same_syllables():
    first, second, other = (
        [syllables.draw(rng) for _ in range(50)]
        for rng in (np.random.default_rng(s) for s in (1, 1, 2))
    )
    assert first == second != other
