import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from netchu.core.errors import NetchuError
from netchu.imaging.images import decode, encode, quantiles


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_one_line_error_that_names_the_image(content):
    with pytest.raises(NetchuError, match=r"^line kalapa-7: .*replace the file") as caught:
        decode(content, "line kalapa-7")
    assert "\n" not in str(caught.value)


def test_a_truncated_header_is_an_error():
    with pytest.raises(NetchuError):
        decode(encode(noise(20, 20))[:20], "line")


def test_png_keeps_every_pixel_and_colour_becomes_grey():
    image = noise(20, 30)
    np.testing.assert_array_equal(decode(encode(image), "line"), image)
    colour = np.dstack([image] * 3)
    for extension in (".png", ".jpg", ".webp"):
        assert decode(cv2.imencode(extension, colour)[1].tobytes(), "line").shape == (20, 30)


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_a_jpeg_is_decoded_to_a_fraction_and_other_formats_whole(reduction):
    image = np.full((50, 101), 90, np.uint8)
    sizes = {
        extension: decode(cv2.imencode(extension, image)[1].tobytes(), "line", reduction).shape
        for extension in (".jpg", ".png", ".webp")
    }
    fraction = (-(-50 // reduction), -(-101 // reduction))
    assert sizes == {".jpg": fraction, ".png": (50, 101), ".webp": (50, 101)}


def test_quantiles_of_a_large_image_count_every_pixel():
    grey = np.zeros((4100, 4100), np.uint8)  # more of one value than single precision counts
    grey[0, :3] = 255
    assert quantiles(grey, [0.5, 1.0, 1 - 1 / (grey.size - 1)]) == [0, 255, 255]


@given(
    arrays(np.uint8, array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=40)),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_quantiles_are_those_of_numpy(grey, shares):
    shares = [*shares, 0.005, 0.5]
    assert quantiles(grey, shares) == np.quantile(grey, shares).tolist()
    assert quantiles(grey[::-2], [0.5]) == [np.median(grey[::-2])]
