import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.imaging.augmentation import Augmenter
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


def test_noise_and_light_are_drawn_independently():
    flat = np.full((40, 200), 128, np.uint8)  # geometry, blur and compression keep it
    augmenter = Augmenter(1.0)
    copies = [augmenter(flat, seed) for seed in range(400)]
    noisy = [copy for copy in copies if copy.std() > 1]
    relit = [abs(float(copy.mean()) - 128) > 2 for copy in noisy]
    assert len(noisy) > 30
    assert 0.25 < np.mean(relit) < 0.75  # half of all photos
