import numpy as np
import pytest

from netchu.imaging.polarity import with_dark_ink
from small_project import picture

LINE = picture("đường Láng, Hà Nội", 64)


def page():
    """Three lines of dark ink on light paper."""
    sheet = np.full((400, LINE.shape[1] + 80), int(np.median(LINE)), np.uint8)
    for top in (40, 170, 300):
        sheet[top : top + 64, 40:-40] = LINE
    return sheet


@pytest.mark.parametrize("photo", [LINE, page()], ids=["line", "page"])
def test_dark_ink_stays_as_it_is_and_light_ink_is_inverted(photo):
    assert with_dark_ink(photo) is photo
    np.testing.assert_array_equal(with_dark_ink(255 - photo), photo)


def test_only_the_dark_half_is_inverted():
    half = page()
    half[240:] = 255 - half[240:]
    changed = np.abs(with_dark_ink(half).astype(int) - page())
    changed[230:250] = 0  # the border of both halves
    assert changed.max() == 0


def test_a_dark_desk_stays_dark():
    desk = np.full((700, 900), 45, np.uint8)
    desk[100:500, 100 : 100 + page().shape[1]] = page()
    assert with_dark_ink(desk) is desk


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (40, 7)])
def test_any_size_is_accepted(shape):
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert with_dark_ink(noise).shape == shape
    assert with_dark_ink(np.zeros(shape, np.uint8)).max() == 0
