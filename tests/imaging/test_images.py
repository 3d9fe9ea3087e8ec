import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.imaging.images import decode, encode
from netchu.imaging.preparation import WIDTH_STEP, Preprocessing, prepare, prepared_width

VARIANTS = ("grey", "otsu", "adaptive", "square")
ways = st.builds(
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


@given(st.integers(1, 90), st.integers(1, 400), ways)
@settings(max_examples=150, deadline=None)
def test_any_photo_becomes_what_prepared_width_says(height, width, how):
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


@pytest.mark.parametrize("variant", VARIANTS)
def test_paper_is_0_and_ink_is_1(variant):
    height = 64
    prepared = prepare(writing(height, 200), Preprocessing(variant, height))
    assert np.median(prepared) == 0
    assert prepared.max() > 0.9
    blank = prepare(np.full((height, 200), 220, np.uint8), Preprocessing(variant, height))
    assert not blank.any()


@pytest.mark.parametrize("variant", ["grey", "otsu", "adaptive"])
def test_the_right_is_filled_up_with_paper(variant):
    prepared = prepare(noise(48, 100), Preprocessing(variant, 48))
    assert prepared.shape[1] == 128
    assert prepared[:, :100].any()
    assert not prepared[:, 100:].any()


def test_a_line_longer_than_max_width_is_squeezed():
    how = Preprocessing("grey", 32, max_width=64)
    assert prepared_width(1000, 32, how) == 64
    assert prepare(noise(32, 1000), how)[:, -1].any()


def test_the_dark_stroke_of_a_grey_line_keeps_its_shade():
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


def seed_2(image, max_upwidth):
    """The second seed's recipe as it is published, of a grey photo that is not too long."""
    new_width = int((163 / image.shape[0]) * image.shape[1])
    image = cv2.resize(image, (new_width, 163))
    image = np.pad(image, ((0, 0), (0, max_upwidth - new_width)), "median")
    image = cv2.GaussianBlur(image, (5, 5), 0)
    return cv2.adaptiveThreshold(
        image, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV, 11, 4
    )


@pytest.mark.parametrize("image", [noise(163, 416), writing(163, 416)])
def test_adaptive_is_the_second_seeds_recipe(image):
    prepared = prepare(image, Preprocessing("adaptive", 163))
    np.testing.assert_array_equal(prepared * 255, seed_2(image, 416))


def test_adaptive_agrees_with_the_seed_after_scaling_up_to_where_it_pads():
    image = writing(80, 160)
    prepared = prepare(image, Preprocessing("adaptive", 163))
    reach = 2 + 5  # of the blur and of the threshold's block
    width = 326
    np.testing.assert_array_equal(
        prepared[:, : width - reach] * 255, seed_2(image, 600)[:, : width - reach]
    )


@given(st.binary(max_size=200))
def test_garbage_is_one_line_that_names_the_image(garbage):
    with pytest.raises(NetchuError, match=r"^line kalapa-7: .*replace the file") as caught:
        decode(garbage, "line kalapa-7")
    assert "\n" not in str(caught.value)


def test_a_truncated_header_is_refused():
    with pytest.raises(NetchuError):
        decode(encode(noise(20, 20))[:20], "line")


def test_png_keeps_every_pixel_and_colour_becomes_grey():
    image = noise(20, 30)
    np.testing.assert_array_equal(decode(encode(image), "line"), image)
    colour = np.dstack([image] * 3)
    for extension in (".png", ".jpg", ".webp"):
        assert decode(cv2.imencode(extension, colour)[1].tobytes(), "line").shape == (20, 30)
