import time
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.inference.segmentation.line_boxes import crop_line, find_lines, segment

FONT = cv2.FONT_HERSHEY_SCRIPT_COMPLEX
WORDS = ["nguyen", "dinh", "hoa", "binh", "quang", "trung", "thanh", "long", "an", "giang", "xa"]


class SyntheticPage:
    """A page whose `truth` is the number of the line, from 1, at each pixel of ink."""

    def __init__(self, height, width):
        self.truth = np.zeros((height, width), np.uint8)
        self.lines = 0

    def write(self, x, y, words, marks=True):
        """A line of letters on baseline `y`, with a hook over and a dot under every word."""
        ink = np.zeros_like(self.truth)
        for word in words:
            cv2.putText(ink, word, (x, y), FONT, 1.0, 255, 2)
            wide = cv2.getTextSize(word, FONT, 1.0, 2)[0][0]
            if marks:
                cv2.ellipse(ink, (x + wide // 2, y - 31), (7, 3), 0, 180, 360, 255, 2)
                cv2.circle(ink, (x + wide // 2, y + 9), 2, 255, cv2.FILLED)
            x += wide + 20
        self.lines += 1
        self.truth[ink > 127] = self.lines

    def photo(self, paper=None, rules=0, noise=3.0):
        height, width = self.truth.shape
        light = np.full((height, width), 220, np.float32) if paper is None else paper.copy()
        if rules:
            light[rules::rules] *= 0.6
        light[self.truth > 0] *= 0.3
        grain = np.random.default_rng(0).normal(0, noise, light.shape).astype(np.float32)
        return np.clip(cv2.GaussianBlur(light, (3, 3), 0) + grain, 0, 255).astype(np.uint8)

    def rotated(self, degrees):
        height, width = self.truth.shape
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        rotated = SyntheticPage(height, width)
        rotated.truth = cv2.warpAffine(self.truth, turn, (width, height), flags=cv2.INTER_NEAREST)
        rotated.lines = self.lines
        return rotated


def notebook(lines, pitch=70, seed=0, width=900, words=WORDS):
    rng = np.random.default_rng(seed)
    page = SyntheticPage(pitch * (lines + 2), width)
    for line in range(lines):
        page.write(90 + int(rng.integers(30)), pitch * (line + 2) - 20, rng.choice(words, 4))
    return page


def ink_fractions(page, photo, boxes):
    """Lines × boxes: the fraction of a line's ink that is dark in a box's crop."""
    found = np.zeros((page.lines, len(boxes)))
    for place, box in enumerate(boxes):
        shown = crop_line(photo, box) < 150
        tilt = np.tan(np.deg2rad(box.angle))
        to_photo = np.array([[1, 0, box.left], [tilt, 1, box.start]])
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(page.truth, to_photo, shown.shape[::-1], flags=flags)
        for line in range(page.lines):
            found[line, place] = (shown & (crop == line + 1)).sum() / (page.truth == line + 1).sum()
    return found


def assert_lines_are_cropped(page, photo):
    boxes = find_lines(photo)
    assert len(boxes) == page.lines
    found = ink_fractions(page, photo, boxes)
    assert (np.diag(found) > 0.9).all()
    assert (found - np.diag(np.diag(found)) < 0.03).all()
    for box in boxes:
        assert 0 <= box.left < box.right <= photo.shape[1]
        assert 0 <= box.top < box.bottom <= photo.shape[0]
        assert crop_line(photo, box).shape == (box.height, box.right - box.left)


def assert_all_ink_is_in_lines(page):
    """Return the place of each line of the page in reading order."""
    photo = page.photo()
    found = segment(photo)
    assert found.unread == ()
    shares = ink_fractions(page, photo, found.lines)
    assert shares.max(axis=1).min() > 0.9
    return shares.argmax(axis=1).tolist()


@settings(max_examples=15, deadline=None)
@given(lines=st.integers(2, 7), degrees=st.floats(-8, 8), seed=st.integers(0, 2**32 - 1))
def test_crops_have_all_marks_of_their_line_and_no_other_ink(lines, degrees, seed):
    page = notebook(lines, seed=seed).rotated(degrees)
    assert_lines_are_cropped(page, page.photo())


@pytest.mark.parametrize("seed", range(4))
def test_marks_above_low_letters_are_not_a_line(seed):
    page = notebook(2 + seed, pitch=70 + 8 * seed, seed=seed, words=["an", "xa", "hoa", "mua"])
    assert_lines_are_cropped(page, page.photo())


def test_lines_with_overlapping_boxes_keep_their_marks():
    page = notebook(6, pitch=52)
    boxes = find_lines(page.photo())
    assert any(above.bottom > below.top for above, below in pairwise(boxes))
    assert_lines_are_cropped(page, page.photo())


def test_ruled_lines_and_margins_are_not_ink():
    page = notebook(5)
    photo = page.photo(rules=35)
    photo[:, 60:63] = 100
    assert_lines_are_cropped(page, photo)


def test_lines_are_found_in_uneven_light_beside_a_dark_desk():
    page = notebook(5)
    height, width = page.truth.shape
    paper = np.tile(np.linspace(230, 110, width, dtype=np.float32), (height, 1))
    paper[: height // 2] *= 0.75
    paper[:, :40] = 30
    assert_lines_are_cropped(page, page.photo(paper))


@pytest.mark.parametrize("desk", [30, 75, 120, 245])
def test_lines_are_found_on_a_rotated_sheet_on_a_desk(desk):
    page = notebook(5).rotated(4)
    height, width = page.truth.shape
    corners = [[40, 45], [width - 30, 25], [width - 45, height - 40], [55, height - 24]]
    sheet = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), np.array(corners), 1)
    assert_lines_are_cropped(page, page.photo(np.where(sheet, 215, desk).astype(np.float32)))


def test_a_large_photo_is_cropped_at_full_resolution():
    page = notebook(4)
    large = SyntheticPage(1, 1)
    large.truth = cv2.resize(page.truth, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    large.lines = page.lines
    assert_lines_are_cropped(large, large.photo())


def test_columns_are_in_reading_order():
    page = SyntheticPage(420, 1100)
    for x in (40, 560):
        for line in range(4):
            page.write(x, 100 + 80 * line, ["thanh", "pho", "long", "nguyen"])
    assert_lines_are_cropped(page, page.photo())


def test_a_table_is_read_row_by_row():
    page = SyntheticPage(420, 1100)
    for line in range(4):
        for x in (40, 420, 800):
            page.write(x, 100 + 80 * line, ["thanh", "pho"])
    photo = page.photo()
    photo[50:380:80] = photo[:, 20:1100:380] = 90
    assert_lines_are_cropped(page, photo)


def test_fields_are_boxes_of_their_own_in_the_order_of_rows():
    page = SyntheticPage(260, 1100)
    for line in range(2):
        page.write(40, 100 + 80 * line, ["thanh", "pho"])
        page.write(800, 100 + 80 * line, ["long", "an"])
    assert_lines_are_cropped(page, page.photo())


@pytest.mark.parametrize("lift", [-30, -10, 10, 30])
def test_a_field_that_is_a_little_higher_or_lower_is_on_the_same_row(lift):
    page = SyntheticPage(300, 1100)
    for row in (100, 210):
        page.write(40, row, ["thanh", "pho"])
        page.write(700, row + lift, ["long", "an"])
    assert_lines_are_cropped(page, page.photo())


def test_words_with_a_wide_space_are_one_line():
    page = SyntheticPage(400, 1100)
    page.write(40, 100, ["quang", "trung"])
    page.write(40, 200, ["thanh"])
    page.lines -= 1
    page.write(170, 200, ["long", "an"])  # 52 px after the word before, in a line 55 px high
    page.write(40, 300, ["nguyen", "dinh"])
    assert_lines_are_cropped(page, page.photo())


def test_a_photo_of_two_fields_has_two_boxes_but_one_as_a_line():
    page = SyntheticPage(58, 1000)
    page.write(10, 41, ["thanh", "pho"])
    page.write(700, 41, ["long", "an"])
    photo = page.photo()
    assert_lines_are_cropped(page, photo)
    (box,) = find_lines(photo, line=True)
    assert box.bounds == (0, 0, 1000, 58)


@pytest.mark.parametrize("thickness", [6, 9, 14])
def test_the_border_of_a_cell_is_not_a_field(thickness):
    page = SyntheticPage(58, 1000)
    page.write(10, 41, ["thanh", "pho"])
    photo = page.photo()
    photo[25:57, 900 : 900 + thickness] = 60  # too short to be removed as a ruled line
    assert [box.bounds for box in find_lines(photo)] == [(0, 0, 1000, 58)]


def test_the_end_of_a_line_that_drops_is_in_a_box():
    page = SyntheticPage(500, 1100)
    page.write(40, 100, ["quang", "trung", "thanh"])
    for drop, word in ((24, "an"), (52, "xa"), (84, "giang")):
        page.write(520 + 2 * drop, 100 + drop, [word], marks=False)
    page.write(40, 400, ["quang", "trung", "thanh"])
    places = assert_all_ink_is_in_lines(page)
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("x", "y", "place"), [(30, 60, 0), (950, 70, 0), (860, 300, 2), (20, 455, 3)]
)
def test_an_isolated_word_is_a_line_in_reading_order(x, y, place):
    page = SyntheticPage(500, 1100)
    for row in (150, 250, 350):
        page.write(180, row, ["quang", "trung", "thanh", "long"])
    page.write(x, y, ["an"], marks=False)
    places = assert_all_ink_is_in_lines(page)
    assert places[3] == place
    assert len(set(places)) == 4


@pytest.mark.parametrize("letter", ["i", "1", "o", "?"])
def test_a_single_letter_far_from_all_lines_is_a_line(letter):
    page = notebook(6, width=1400)
    page.write(1250, 300, [letter], marks=False)
    assert_all_ink_is_in_lines(page)


def test_ink_in_no_line_is_reported():
    page = notebook(3, width=1200)
    photo = page.photo()
    cv2.putText(photo, "R", (980, 240), FONT, 7, 60, 9)  # five times as high as other letters
    found = segment(photo)
    assert len(found.lines) == 3
    assert found.unread
    reported = np.zeros(photo.shape, np.uint8)
    for left, top, right, bottom in found.unread:
        reported[top:bottom, left:right] = 1
    assert not reported[:, :960].any()
    assert reported[:, 960:][photo[:, 960:] < 100].mean() > 0.8  # not its serifs
    assert segment(page.photo(rules=35)).unread == ()


def test_crops_of_low_words_are_as_high_as_other_crops():
    page = SyntheticPage(320, 900)
    page.write(60, 90, ["nguyen", "dinh"])
    page.write(60, 170, ["xoan"], marks=False)
    page.write(60, 250, ["quang", "trung"])
    first, low, last = find_lines(page.photo())
    assert low.height > 0.9 * min(first.height, last.height)


@pytest.mark.parametrize(("height", "whole"), [(58, True), (64, False)])
def test_a_photo_is_cropped_from_an_eighth_above_the_height_of_its_line(height, whole):
    """The crop of the line is 54 px high."""
    page = SyntheticPage(height, 1000)
    page.write(10, height // 2 + 12, ["thanh", "pho", "long", "an"])
    (box,) = find_lines(page.photo())
    assert (box.bounds == (0, 0, 1000, height)) == whole


@pytest.mark.parametrize("border", [False, True])
def test_a_photo_of_one_line_is_not_cropped(border):
    page = SyntheticPage(58, 1000)
    page.write(10, 41, ["thanh", "pho", "long", "an"])
    photo = page.photo()
    if border:  # of a table cell, and remainders of the lines above and below
        photo[1:3] = photo[-3:-1] = 60
        cv2.putText(photo, "gyg", (300, -6), FONT, 1.0, 60, 2)
        cv2.putText(photo, "hdh", (600, 76), FONT, 1.0, 60, 2)
    (box,) = find_lines(photo)
    assert (box.left, box.top, box.right, box.bottom) == (0, 0, 1000, 58)
    assert np.array_equal(crop_line(photo, box), photo)


def test_one_line_on_a_large_sheet_is_cropped():
    page = SyntheticPage(600, 900)
    page.write(100, 300, ["thanh", "pho", "long", "an"])
    (box,) = find_lines(page.photo())
    assert box.bottom - box.top < 120
    assert ink_fractions(page, page.photo(), [box])[0, 0] > 0.9


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 3), (400, 600), (50, 30_000)])
@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_empty_paper_has_no_lines(shape, noise):
    rng = np.random.default_rng(1)
    light = np.linspace(140, 230, shape[1])[None] + rng.normal(0, noise, shape)
    assert find_lines(np.clip(light, 0, 255).astype(np.uint8)) == []
    assert find_lines(np.zeros(shape, np.uint8)) == []


def test_lines_are_found_among_many_specks():
    page = notebook(6)
    photo = page.photo(noise=0)
    rng = np.random.default_rng(4)
    for x, y, side in zip(
        rng.integers(0, 896, 2800), rng.integers(0, 556, 2800), rng.integers(1, 4, 2800),
        strict=True,
    ):  # fmt: skip
        photo[y : y + side, x : x + side] = 60
    shares = ink_fractions(page, photo, find_lines(photo))
    assert shares.max(axis=1).min() > 0.9


def test_ruled_paper_alone_has_no_lines():
    assert find_lines(SyntheticPage(500, 700).photo(rules=30)) == []


def test_columns_of_a_crop_are_columns_of_the_photo():
    page = notebook(4).rotated(5)
    photo = page.photo(noise=0)
    for box in find_lines(photo):
        assert box.angle == pytest.approx(-5, abs=1)
        for column in range(0, box.right - box.left, 97):
            top = box.start + column * np.tan(np.deg2rad(box.angle))
            rows = np.clip(np.rint(top + np.arange(box.height)), 0, len(photo) - 1).astype(int)
            crop = crop_line(photo, box)[:, column].astype(int)
            original = photo[rows, box.left + column].astype(int)
            assert (crop - original > -60).all()  # nothing is darker than there was ink


@pytest.mark.parametrize("blob", [3, 9, 25])
def test_any_texture_is_segmented_in_bounded_time(blob):
    rng = np.random.default_rng(2)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (1500, 2000)).astype(np.float32), (0, 0), blob / 3)
    begun = time.thread_time()
    find_lines(np.where(texture > texture.std(), 60, 200).astype(np.uint8))
    assert time.thread_time() - begun < 3


@pytest.mark.parametrize("pen", [3, 7, 12])
def test_stems_of_large_letters_are_not_ruled_lines(pen):
    """Three letters written on a screen, in an image cropped to them."""
    sheet = np.full((248, 536), 255, np.uint8)
    for middle in (108, 268, 428):
        cv2.ellipse(sheet, (middle, 124), (60, 76), 0, 0, 360, 20, pen, cv2.LINE_AA)
    (box,) = find_lines(sheet)
    assert (box.left, box.top, box.right, box.bottom) == (0, 0, 536, 248)
