import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_project import picture

from netchu.imaging.augmentation import Augmenter

PHOTO = picture("đường Láng, Hà Nội", 48)


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=20, deadline=None)
def test_the_seed_alone_decides_whatever_was_drawn_before(seed):
    used, fresh = Augmenter(0.7), Augmenter(0.7)
    used(PHOTO, seed ^ 1)
    np.random.default_rng().random()
    first = used(PHOTO, seed)
    np.testing.assert_array_equal(first, fresh(PHOTO, seed))
    np.testing.assert_array_equal(first, used(PHOTO, seed))


def test_other_seeds_give_other_copies():
    augmenter = Augmenter(0.7)
    copies = {augmenter(PHOTO, seed).tobytes() for seed in range(12)}
    assert len(copies) >= 10


def test_difficulty_0_gives_the_photo_back():
    assert all(Augmenter(0.0)(PHOTO, seed) is PHOTO for seed in range(3))


@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_size_and_type_stay_and_the_given_photo_is_untouched(strength):
    before = PHOTO.copy()
    augmenter = Augmenter(strength)
    for seed in range(20):
        copy = augmenter(PHOTO, seed)
        assert (copy.shape, copy.dtype) == (PHOTO.shape, np.uint8)
    np.testing.assert_array_equal(PHOTO, before)


def test_more_difficulty_changes_more():
    def change(strength):
        augmenter = Augmenter(strength)
        copies = [augmenter(PHOTO, seed).astype(int) for seed in range(30)]
        return np.mean([np.abs(copy - PHOTO).mean() for copy in copies])

    assert 0 < change(0.1) < change(0.5) < change(1.0)
