import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.codec import Codec
from netchu.decoding.greedy import Emission
from netchu.inference.postprocessing import (
    boundaries,
    line_reading,
    mean_confidence,
    photo_reading,
    turned_back,
)

CODEC = Codec("abc")
gaps_and_lengths = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=8)


def written(*emissions):
    """Emissions of (id, probability, begin, end)."""
    return [Emission(i, p, begin, end, ((i % 3 + 1, 0.02),)) for i, p, begin, end in emissions]


@given(gaps_and_lengths)
def test_every_character_covers_its_steps_and_none_overlaps(places):
    emissions, end = [], 0
    for gap, length in places:
        emissions += written((1, 0.9, end + gap, end + gap + length))
        end += gap + length
    bounds = boundaries(emissions)
    assert bounds == sorted(bounds)
    assert len(bounds) == (len(emissions) + 1 if emissions else 0)
    for emission, begin, stop in zip(emissions, bounds, bounds[1:], strict=False):
        assert 0 <= begin <= emission.begin < emission.end <= stop


def test_neighbours_meet_halfway_and_the_ends_reach_as_far_out_as_in():
    assert boundaries(written((1, 0.9, 4, 5), (2, 0.9, 9, 10), (3, 0.9, 10, 12))) == [2, 7, 10, 12]


def test_a_line_is_its_characters_in_pixels_of_the_photo():
    emissions = written((1, 0.5, 1, 2), (3, 0.8, 3, 5))
    line = line_reading(emissions, CODEC, (100, 20, 140, 50), 8.0)
    assert line.text == "ac"
    assert line.confidence == pytest.approx(0.4)
    assert [(c.text, c.left, c.right) for c in line.characters] == [
        ("a", 104.0, 120.0),
        ("c", 120.0, 140.0),  # no further than the box
    ]
    assert line.characters[0].alternatives == (("b", 0.02),)


def test_a_photo_is_as_sure_as_its_least_sure_line():
    lines = [
        line_reading(written((1, p, 1, 2), (2, p, 3, 4)), CODEC, (0, y, 40, y + 9), 4.0)
        for y, p in ((0, 0.9), (10, 0.5), (20, 0.8))
    ]
    reading = photo_reading(lines, (30, 40))
    assert reading.text == "ab\nab\nab"
    assert reading.confidence == pytest.approx(0.25)
    assert reading.size == (40, 30)
    assert mean_confidence(reading) == pytest.approx((0.9 * 0.5 * 0.8) ** (1 / 3))


def test_a_line_without_characters_is_none():
    empty = line_reading([], CODEC, (0, 0, 9, 9), 4.0)
    assert (empty.text, empty.confidence) == ("", 0.0)
    reading = photo_reading([empty], (9, 9))
    assert (reading.text, reading.confidence, reading.lines) == ("", 0.0, ())
    assert mean_confidence(reading) == 0.0


def test_turning_twice_changes_nothing():
    line = line_reading(written((1, 0.5, 1, 2), (2, 0.8, 3, 5)), CODEC, (5, 2, 45, 12), 4.0)
    reading = photo_reading([line], (30, 60))
    turned = turned_back(reading)
    assert turned.lines[0].box == (15, 18, 55, 28)
    assert turned.lines[0].characters[0].left > turned.lines[0].characters[1].left
    assert turned_back(turned) == reading
