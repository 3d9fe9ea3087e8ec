from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.codec import Codec
from netchu.decoding.greedy import Emission
from netchu.decoding.scaling import NO_SCALING
from netchu.inference.postprocessing import (
    build_line_reading,
    build_photo_reading,
    character_boundaries,
    mean_confidence,
    rotate_reading,
    scale_reading,
)
from netchu.inference.results import PhotoReading

CODEC = Codec("abc")
SPACING = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=8)


def line_reading(emissions, box, step, scaling=NO_SCALING):
    boundaries = character_boundaries(emissions)
    return build_line_reading(emissions, boundaries, CODEC, box, step, scaling)


def emissions_of(*emissions):
    """Emissions of (id, probability, begin, end)."""
    return [Emission(i, p, begin, end, ((i % 3 + 1, 0.02),)) for i, p, begin, end in emissions]


@given(SPACING)
def test_characters_cover_their_time_steps_without_overlap(gaps_and_lengths):
    emissions, end = [], 0
    for gap, length in gaps_and_lengths:
        emissions += emissions_of((1, 0.9, end + gap, end + gap + length))
        end += gap + length
    bounds = character_boundaries(emissions)
    assert bounds == sorted(bounds)
    assert len(bounds) == (len(emissions) + 1 if emissions else 0)
    for emission, begin, stop in zip(emissions, bounds, bounds[1:], strict=False):
        assert 0 <= begin <= emission.begin < emission.end <= stop


def test_boundaries_are_halfway_and_symmetric_at_the_ends():
    assert character_boundaries(
        emissions_of((1, 0.9, 4, 5), (2, 0.9, 9, 10), (3, 0.9, 10, 12))
    ) == [2, 7, 10, 12]


def test_characters_of_a_line_are_in_pixels_of_the_photo():
    emissions = emissions_of((1, 0.5, 1, 2), (3, 0.8, 3, 5))
    line = line_reading(emissions, (100, 20, 140, 50), 8.0)
    assert line.text == "ac"
    assert line.confidence == pytest.approx(0.4)
    assert [(c.text, c.left, c.right) for c in line.characters] == [
        ("a", 104.0, 120.0),
        ("c", 120.0, 140.0),  # no further than the box
    ]
    assert line.characters[0].alternatives == (("b", 0.02),)


def test_confidence_of_a_photo_is_that_of_its_worst_line():
    lines = [
        line_reading(emissions_of((1, p, 1, 2), (2, p, 3, 4)), (0, y, 40, y + 9), 4.0)
        for y, p in ((0, 0.9), (10, 0.5), (20, 0.8))
    ]
    reading = build_photo_reading(lines, (30, 40))
    assert reading.text == "ab\nab\nab"
    assert reading.confidence == pytest.approx(0.25)
    assert reading.size == (40, 30)
    assert mean_confidence(reading) == pytest.approx((0.9 * 0.5 * 0.8) ** (1 / 3))


def test_a_line_without_characters_is_left_out():
    empty = line_reading([], (0, 0, 9, 9), 4.0)
    assert (empty.text, empty.confidence) == ("", 0.0)
    reading = build_photo_reading([empty], (9, 9))
    assert (reading.text, reading.confidence, reading.lines) == ("", 0.0, ())
    assert mean_confidence(reading) == 0.0


def test_rotating_twice_changes_nothing():
    line = line_reading(emissions_of((1, 0.5, 1, 2), (2, 0.8, 3, 5)), (5, 2, 45, 12), 4.0)
    reading = build_photo_reading([line], (30, 60))
    rotated = rotate_reading(reading, 2)
    assert rotated.lines[0].box == (15, 18, 55, 28)
    assert rotated.lines[0].characters[0].left > rotated.lines[0].characters[1].left
    assert {(c.top, c.bottom) for c in reading.lines[0].characters} == {(2, 12)}
    assert {(c.top, c.bottom) for c in rotated.lines[0].characters} == {(18, 28)}
    assert rotated.turns == 2
    assert replace(rotate_reading(rotated, 2), turns=0) == reading


def test_characters_are_scaled_with_the_photo():
    line = line_reading(emissions_of((1, 0.5, 1, 2)), (5, 2, 45, 12), 4.0)
    (before,) = line.characters
    scaled = scale_reading(build_photo_reading([line], (30, 60)), (120, 90)).lines[0]
    (after,) = scaled.characters
    assert scaled.box == (10, 6, 90, 36)
    assert (after.left, after.right) == (2 * before.left, 2 * before.right)
    assert (after.top, after.bottom) == (6, 36)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_ink_that_was_not_read_stays_where_it_is_in_the_photo(turns):
    box = 10, 20, 40, 30
    reading = PhotoReading("", 0.0, (), (100, 60), unread=(box,))
    shown_HW = np.zeros((60, 100), np.uint8)
    shown_HW[20:30, 10:40] = 1
    rows, columns = np.nonzero(np.rot90(shown_HW, -turns))
    rotated = rotate_reading(reading, turns)
    assert rotated.unread == ((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1),)
    assert scale_reading(reading, (200, 180)).unread == ((20, 60, 80, 90),)
