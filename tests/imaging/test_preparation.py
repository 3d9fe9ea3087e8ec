import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netchu.imaging.preparation import (
    WIDTH_STEP,
    Preprocessing,
    prepare,
    prepared_width,
    shrink,
    shrunk_size,
)

VARIANTS = ("grey", "otsu", "adaptive", "square")
preprocessings = st.builds(
    Preprocessing,
    st.sampled_from(VARIANTS),
    st.sampled_from((16, 32, 48, 163)),
    st.sampled_from((0, WIDTH_STEP, 10 * WIDTH_STEP)),
)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def writing(height, width):
    """Dark strokes on grey paper."""
    image = np.full((height, width), 220, np.uint8)
    cv2.putText(image, "nga", (4, height * 3 // 4), cv2.FONT_HERSHEY_SIMPLEX, height / 50, 40, 2)
    return image


@given(st.integers(1, 90), st.integers(1, 400), preprocessings)
@settings(max_examples=150, deadline=None)
def test_a_prepared_photo_has_the_predicted_shape(height, width, how):
    assume(width * how.height / height < 4000)
    prepared = prepare(noise(height, width), how)
    wanted = prepared_width(width, height, how)
    assert prepared.shape == (how.height, wanted)
    assert prepared.dtype == np.float32
    assert 0 <= prepared.min() <= prepared.max() <= 1
    if how.variant == "square":
        assert wanted == how.height
    else:
        assert wanted % WIDTH_STEP == 0
        assert wanted <= how.max_width or not how.max_width


@given(st.integers(1, 400), st.integers(1, 4000), preprocessings)
def test_a_shrunk_photo_has_the_same_prepared_width(height, width, how):
    size = shrunk_size(width, height, how)
    assert size[1] == min(height, round(1.5 * how.height))
    assert prepared_width(*size, how) == prepared_width(width, height, how)


@pytest.mark.parametrize("height", [97, 163, 300])
def test_a_shrunk_photo_is_prepared_nearly_alike(height):
    photo, how = writing(height, 4 * height), Preprocessing("grey", 48)
    shrunk = shrink(photo, shrunk_size(*photo.shape[::-1], how))
    assert shrunk.shape[0] == 72
    difference = prepare(shrunk, how) - prepare(photo, how)
    assert np.abs(difference).mean() < 0.01


@pytest.mark.parametrize("variant", VARIANTS)
def test_paper_is_0_and_ink_is_1(variant):
    height = 64
    prepared = prepare(writing(height, 200), Preprocessing(variant, height))
    assert np.median(prepared) == 0
    assert prepared.max() > 0.9
    blank = prepare(np.full((height, 200), 220, np.uint8), Preprocessing(variant, height))
    assert not blank.any()


@pytest.mark.parametrize("variant", ["grey", "otsu", "adaptive"])
def test_the_right_is_padded_with_paper(variant):
    prepared = prepare(noise(48, 100), Preprocessing(variant, 48))
    assert prepared.shape[1] == 128
    assert prepared[:, :100].any()
    assert not prepared[:, 100:].any()


def test_a_line_longer_than_max_width_is_squeezed():
    how = Preprocessing("grey", 32, max_width=64)
    assert prepared_width(1000, 32, how) == 64
    assert prepare(noise(32, 1000), how)[:, -1].any()


def test_grey_keeps_the_relative_darkness_of_strokes():
    image = np.full((32, 64), 200, np.uint8)
    image[10:14, 5:60] = 40
    image[20:24, 5:60] = 120
    prepared = prepare(image, Preprocessing("grey", 32))
    assert prepared[12, 30] == 1
    assert prepared[22, 30] == pytest.approx(0.5)


def test_otsu_drops_specks_and_keeps_strokes():
    image = np.full((32, 64), 230, np.uint8)
    image[8:24, 20:24] = 20
    image[4, 50] = 20
    prepared = prepare(image, Preprocessing("otsu", 32))
    assert prepared[12, 21] == 1
    assert not prepared[:, 40:].any()


def source_project_recipe(image, max_upwidth):
    """The published preparation of crnn_residual's source project, for a grey photo."""
    new_width = int((163 / image.shape[0]) * image.shape[1])
    image = cv2.resize(image, (new_width, 163))
    image = np.pad(image, ((0, 0), (0, max_upwidth - new_width)), "median")
    image = cv2.GaussianBlur(image, (5, 5), 0)
    return cv2.adaptiveThreshold(
        image, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV, 11, 4
    )


@pytest.mark.parametrize("image", [noise(163, 416), writing(163, 416)])
def test_adaptive_equals_the_recipe_of_the_source_project(image):
    prepared = prepare(image, Preprocessing("adaptive", 163))
    np.testing.assert_array_equal(prepared * 255, source_project_recipe(image, 416))


def test_adaptive_equals_the_recipe_up_to_the_padding_after_enlarging():
    image = writing(80, 160)
    prepared = prepare(image, Preprocessing("adaptive", 163))
    radius = 2 + 5  # of the blur and of the threshold's block
    width = 326
    np.testing.assert_array_equal(
        prepared[:, : width - radius] * 255, source_project_recipe(image, 600)[:, : width - radius]
    )
