import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.imaging.augmentation import SLACK, SLOPE, Augmenter, _reframe
from small_project import picture

PHOTO = picture("đường Láng, Hà Nội", 48)


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=20, deadline=None)
def test_the_result_depends_on_the_seed_and_not_on_earlier_calls(seed):
    used, fresh = Augmenter(0.7), Augmenter(0.7)
    used(PHOTO, seed ^ 1)
    np.random.default_rng().random()
    first = used(PHOTO, seed)
    np.testing.assert_array_equal(first, fresh(PHOTO, seed))
    np.testing.assert_array_equal(first, used(PHOTO, seed))


def test_different_seeds_give_different_copies():
    augmenter = Augmenter(0.7)
    copies = {augmenter(PHOTO, seed).tobytes() for seed in range(12)}
    assert len(copies) >= 10


def test_strength_0_returns_the_photo_unchanged():
    assert all(Augmenter(0.0)(PHOTO, seed) is PHOTO for seed in range(3))


@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_shape_and_dtype_are_kept_and_the_input_is_not_modified(strength):
    before = PHOTO.copy()
    augmenter = Augmenter(strength)
    for seed in range(20):
        copy = augmenter(PHOTO, seed)
        assert (copy.shape, copy.dtype) == (PHOTO.shape, np.uint8)
    np.testing.assert_array_equal(PHOTO, before)


def test_a_higher_strength_changes_more():
    def change(strength):
        augmenter = Augmenter(strength)
        copies = [augmenter(PHOTO, seed).astype(int) for seed in range(30)]
        return np.mean([np.abs(copy - PHOTO).mean() for copy in copies])

    assert 0 < change(0.1) < change(0.5) < change(1.0)


def test_lines_stand_anywhere_in_the_frame_rise_and_fall_and_none_is_lost():
    photo = np.full((48, 480), 200, np.uint8)
    for start in range(12, 468, 24):
        photo[4:44, start : start + 8] = 30
    for strength in (0.3, 1.0):
        frames = [_reframe(photo, np.random.default_rng(seed), strength) for seed in range(200)]
        moved = [frame for frame in frames if not np.array_equal(frame, photo)]
        assert 60 < len(moved) < 140
        shares, tops, lefts, slopes = [], [], [], []
        for frame in moved:
            dark = frame < 100
            columns = np.flatnonzero(dark.any(axis=0))
            first, last = (np.flatnonzero(dark[:, column]) for column in columns[[2, -3]])
            shares.append(len(first) / 40)
            tops.append(first[0])
            lefts.append(columns[0])
            slopes.append((last[-1] - first[-1]) / (columns[-3] - columns[2]))
            if shares[-1] < 1:  # all of the line is to be seen, with letters of the same shape
                assert frame[[0, -1]].min() > 150
                assert abs(len(first) - len(last)) <= 2
                assert np.ptp(columns) / 440 == pytest.approx(shares[-1], abs=0.05)
        assert 1 - SLACK * strength - 0.05 < min(shares) < 1 - 0.7 * SLACK * strength
        assert 1 <= max(shares) < 1.1
        assert np.ptp(tops) > 0.5 * SLACK * strength * 48
        assert np.ptp(lefts) > 0.5 * SLACK * strength * 480
        assert -SLOPE - 0.004 < min(slopes) < -0.3 * SLOPE * strength
        assert 0.3 * SLOPE * strength < max(slopes) < SLOPE + 0.004
