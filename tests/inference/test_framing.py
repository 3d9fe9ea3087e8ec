"""The shipped model reads a text however it was photographed (see `benchmarks/photos.py`)."""

from functools import partial

import cv2
import numpy as np
import pytest

from netchu import Reader


@pytest.fixture(scope="module")
def photos():
    """The benchmark, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend("benchmarks")
        import photos

        yield photos


@pytest.fixture(scope="module")
def lines(photos):
    return photos.sample_lines()


@pytest.fixture(scope="module")
def shipped():
    return Reader()


@pytest.fixture(scope="module")
def tight_cer(photos, lines, shipped):
    """CER in per cent of the lines as they are, which is that of the network alone.

    At least one character counts as wrong: a network that reads all of them right must not be
    allowed fewer errors elsewhere than one that does not.
    """
    rate = photos.cer(shipped, lines, line=True)
    assert rate < 2
    return max(rate, 100 / sum(len(text) for _, text in lines))


@pytest.fixture(scope="module")
def rate(photos, lines, shipped):
    """CER of the changed lines in per cent."""

    def changed_rate(change, line=False):
        return photos.cer(shipped, [(change(image), text) for image, text in lines], line)

    return changed_rate


@pytest.mark.parametrize("line", [False, True])
def test_tight_lines_are_read_as_they_are(lines, shipped, line):
    for image_HW, _ in lines:
        height, width = image_HW.shape
        assert [found.box for found in shipped.read(image_HW, line=line).lines] == [
            (0, 0, width, height)
        ]


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("frame", [1.3, 1.9, 2.2, 4.0])
def test_cer_does_not_depend_on_the_margins(photos, rate, tight_cer, frame, line):
    wide = rate(partial(photos.add_margins, frame=frame), line)
    assert wide <= tight_cer + 0.5


@pytest.mark.parametrize("line", [False, True])
def test_a_line_on_a_tall_photo_is_found(photos, rate, tight_cer, line):
    def on_tall_photo(image_HW):
        margins = ((1500, 1500), (100, 100))
        return np.pad(image_HW, margins, constant_values=photos.paper(image_HW))

    assert rate(on_tall_photo, line) <= tight_cer + 0.5


@pytest.mark.parametrize("line", [False, True])
def test_cer_does_not_depend_on_light_that_differs_between_the_sides(photos, rate, tight_cer, line):
    def lit_from_the_right(image_HW):
        wide = photos.add_margins(image_HW, 12)
        return (wide * np.linspace(0.44, 0.81, wide.shape[1])).astype(np.uint8)

    assert rate(lit_from_the_right, line) <= tight_cer + 0.5


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("degrees", [-4, 4])
def test_lines_written_uphill_are_levelled(photos, rate, tight_cer, degrees, line):
    assert rate(partial(photos.rotate, degrees=degrees), line) <= tight_cer + 0.5


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("share", [0.0005, 0.002])
def test_cer_does_not_depend_on_specks(photos, rate, share, line):
    clean = rate(partial(photos.add_specks, share=0.0), line)
    assert rate(partial(photos.add_specks, share=share), line) <= clean + 0.5


def test_small_writing_on_a_large_photo_is_read(photos, lines, shipped):
    sheet = photos.on_large_sheet(lines, 24)
    assert photos.cer(shipped, [sheet], line=False) < 2
    assert len(shipped.read(sheet[0]).lines) == photos.PAGE_LINES


@pytest.mark.parametrize(("height", "small"), [(30, 1), (36, 1), (36, 3)])
def test_small_lines_below_a_heading_are_read(photos, lines, shipped, height, small):
    sheet = np.full((700, 1500), photos.paper(lines[0][0]), np.uint8)
    photos.put(sheet, photos.to_height(lines[0][0], 72), 60, 80)
    for number, (image, _) in enumerate(lines[1 : small + 1]):
        photos.put(sheet, photos.to_height(image, height), 180 + round(1.6 * number * height), 80)
    text = " ".join(text for _, text in lines[: small + 1])
    assert photos.cer(shipped, [(sheet, text)], line=False) < 5
    assert len(shipped.read(sheet).lines) == small + 1


def test_a_line_has_one_box_though_marks_and_letters_are_apart(photos, lines, shipped):
    image_HW = photos.add_margins(lines[0][0], 3)
    cv2.circle(image_HW, (200, 60), 6, 30, cv2.FILLED)
    assert len(shipped.read(image_HW, line=True).lines) == 1


def test_the_box_of_a_line_is_that_of_its_crop(photos, lines, shipped):
    image_HW = lines[0][0]
    height, width = image_HW.shape
    (line,) = shipped.read(photos.add_margins(image_HW, 4), line=True).lines
    margin = round(1.5 * height)
    wanted = margin, margin, margin + width, margin + height
    assert np.abs(np.subtract(line.box, wanted)).max() < 0.5 * height


@pytest.mark.parametrize("line", [False, True])
def test_light_ink_on_dark_paper_is_read(photos, rate, tight_cer, line):
    assert rate(lambda image: photos.invert(photos.add_margins(image, 2)), line) <= tight_cer + 0.5


def test_white_ink_on_a_transparent_page_is_read(photos, rate, tight_cer):
    assert rate(photos.on_transparent) <= tight_cer + 0.5


def test_a_page_that_is_partly_light_on_dark_is_read(photos, lines, shipped):
    sheet_HW, text = photos.page(lines[:4])
    assert photos.cer(shipped, [(photos.invert_lower_half(sheet_HW), text)], line=False) < 2


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_page_is_read_and_has_its_boxes_in_the_photo(photos, lines, shipped, turns):
    sheet_HW, _ = photos.page(lines[:4])
    turned_HW = np.ascontiguousarray(np.rot90(sheet_HW, turns))
    upright, reading = shipped.read(sheet_HW), shipped.read(turned_HW)
    assert reading.text == upright.text
    assert reading.size == turned_HW.shape[::-1]
    assert (upright.turns, reading.turns) == (0, 4 - turns)
    for line, same in zip(reading.lines, upright.lines, strict=True):
        left, top, right, bottom = same.box
        shown = np.zeros(sheet_HW.shape, np.uint8)
        shown[top:bottom, left:right] = 1
        rows, columns = np.nonzero(np.rot90(shown, turns))
        assert line.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        first, last = line.characters[0], line.characters[-1]
        begin, end = ((c.left, c.top) for c in (first, last))
        axis = turns % 2  # text that is turned by quarters runs along the rows
        assert (begin[axis] < end[axis]) == (turns == 3)
        for c in line.characters:
            assert line.box[0] <= c.left < c.right <= line.box[2]
            assert line.box[1] <= c.top < c.bottom <= line.box[3]


def test_an_upright_page_is_read_once(photos, lines, shipped, monkeypatch):
    sheet_HW, _ = photos.page(lines[:4])
    monkeypatch.setattr("netchu.inference.reader.runs_down", None)  # fails if it is called
    assert len(shipped.read(sheet_HW).lines) == 4


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("gap", [1.4, 3.0])
def test_a_space_is_between_two_fields_of_a_row(photos, lines, shipped, gap, line):
    for (left, _), (right, _) in zip(lines[::2], lines[1::2], strict=True):
        first, second = (" ".join(shipped.read(i).text.split()) for i in (left, right))
        row = " ".join(shipped.read(photos.side_by_side(left, right, gap), line=line).text.split())
        words = first.split()[-1], second.split()[0]
        assert "".join(words) not in row.split()


def test_widely_spaced_letters_are_one_line_and_no_turned_page():
    photo_HW = np.full((140, 760), 255, np.uint8)
    for middle in (90, 170, 250):
        turns = np.linspace(-1.6, 4.7, 13)
        points = np.stack([middle + 30 * np.cos(turns), 95 + 38 * np.sin(turns)], axis=1)
        cv2.polylines(photo_HW, [points.astype(np.int32)], False, 0, 9, cv2.LINE_AA)
    assert len(Reader().read(photo_HW).lines) == 1
