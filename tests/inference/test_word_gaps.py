from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netchu import Reader
from netchu.decoding.greedy import Emission
from netchu.imaging.photos import read_photo
from netchu.inference.postprocessing import character_boundaries
from netchu.inference.word_gaps import move_to_paper
from netchu.serve.samples import SHIPPED_SAMPLES

SPACE = 9


def emission(id_, begin, end):
    return Emission(id_, 0.9, begin, end, ())


def image_of(*words, width=100):
    """A line on whose columns from `begin` to `end` there is ink."""
    image = np.zeros((8, width), np.float32)
    for begin, end in words:
        image[2:6, begin:end] = 1
    return image


def moved(emissions, image, step=4.0):
    return move_to_paper(character_boundaries(emissions), emissions, SPACE, image, step)


def test_words_end_where_their_ink_does():
    emissions = [emission(1, 3, 4), emission(SPACE, 8, 9), emission(2, 12, 13)]
    image = image_of((8, 37), (44, 80))
    assert moved(emissions, image) == [2.0, 37 / 4, 11.0, 20.0]


def test_a_ruled_line_below_is_no_ink_of_words():
    image = image_of((8, 37), (44, 80))
    image[7] = 1
    image[6, 20] = 1
    emissions = [emission(1, 3, 4), emission(SPACE, 8, 9), emission(2, 12, 13)]
    assert moved(emissions, image) == [2.0, 37 / 4, 11.0, 20.0]


def test_words_that_touch_meet_at_the_column_with_the_least_ink():
    image = image_of((8, 80))
    image[2:5, 41] = 0  # one pixel of ink where there are four
    emissions = [emission(1, 3, 4), emission(SPACE, 8, 9), emission(2, 12, 13)]
    _, left, right, _ = moved(emissions, image)
    assert (left, right) == (41 / 4, 42 / 4)


def test_letters_within_a_word_are_not_moved():
    emissions = [emission(1, 3, 4), emission(2, 7, 9), emission(3, 12, 13)]
    assert moved(emissions, image_of((8, 80)))[1:3] == character_boundaries(emissions)[1:3]


def test_a_line_without_characters_has_no_boundaries():
    assert moved([], image_of()) == []


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.sampled_from([1, SPACE])),
             max_size=8),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_boundaries_stay_in_order_and_within_the_line(characters, seed):
    emissions, end = [], 0
    for gap, length, id_ in characters:
        emissions.append(emission(id_, end + gap, end + gap + length))
        end += gap + length
    image = np.random.default_rng(seed).random((8, max(4, 4 * end)), np.float32)
    bounds = moved(emissions, image)
    assert all(a <= b for a, b in pairwise(bounds))
    assert all(0 <= bound <= image.shape[1] / 4 for bound in bounds)


def test_words_of_the_samples_have_their_ink():
    all_ink = outside = 0
    for sample in sorted(SHIPPED_SAMPLES.glob("*.jpg")):
        photo = read_photo(sample)
        (line,) = Reader().read(photo).lines
        in_words = np.zeros(photo.shape[1], np.bool_)
        for character in line.characters:
            if character.text != " ":
                in_words[int(character.left) : int(np.ceil(character.right))] = True
        ink = photo < np.median(photo) - 60
        all_ink += ink.sum()
        outside += ink[:, ~in_words].sum()
    assert outside < 0.02 * all_ink  # most of it is of a ruled line
