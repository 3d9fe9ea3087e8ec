"""The sources `alto` and `page`."""

import cv2
import numpy as np
import pytest

import archives
from netchu.core.errors import NetchuError
from netchu.data.line_table import Line, Skipped
from netchu.data.parse.handwriting import alto, page
from netchu.imaging.images import decode, encode
from netchu.inference.page_formats import to_alto, to_page
from netchu.inference.postprocessing import rotate_reading
from netchu.inference.results import Character, LineReading, PhotoReading


def test_lines_are_cut_out_of_the_image_of_their_document(tmp_path):
    archives.alto(tmp_path)
    lines = list(alto.parse(tmp_path))
    assert [line.id for line in lines[:3]] == ["alto-1-001-l", "alto-1-002-l", "alto-1-003-l"]
    assert {(line.text, line.level, line.split) for line in lines} == {("Lê xu", "line", "")}
    assert [line.writer for line in lines] == ["1"] * 3 + ["deep/2"] * 3
    photo_HW = decode((tmp_path / "1.jpg").read_bytes(), "1.jpg")
    np.testing.assert_array_equal(decode(lines[1].image, "line"), photo_HW[7:13])


def test_what_is_outside_the_polygon_of_a_line_is_paper(tmp_path):
    archives.page(tmp_path, [archives.PAGE_LINE.format("0,0 30,0 30,10 60,10 60,20 0,20")])
    photo_HW = np.full((20, 60), 240, np.uint8)
    photo_HW[2:5, 40:50] = 0
    photo_HW[14:18, 40:50] = 10
    (tmp_path / "page" / "1.jpg").write_bytes(encode(photo_HW))
    (line,) = page.parse(tmp_path)
    assert line.text == "Lê xu"
    crop_HW = decode(line.image, "line")
    assert crop_HW[:9, 32:].min() == 240
    assert crop_HW[14:18, 40:50].max() == 10


def test_coordinates_are_scaled_to_the_size_of_the_image(tmp_path):
    archives.alto(tmp_path, [archives.ALTO_LINE.format(0, 700, 6000, 600)], width=6000, height=2000)
    line = next(alto.parse(tmp_path))
    assert (line.width, line.height) == (60, 6)


def test_an_image_in_another_folder_is_found_beside_its_document(tmp_path):
    archives.alto(tmp_path, image="C:\\scans\\1.jpg")
    assert len(list(alto.parse(tmp_path))) == 6
    archives.page(tmp_path, image="../1.jpg")
    assert len(list(page.parse(tmp_path / "page"))) == 3


def test_words_of_a_line_without_a_text_are_its_text(tmp_path):
    word = "<Word><TextEquiv><Unicode>{}</Unicode></TextEquiv></Word>"
    line = f'<TextLine><Coords points="0,0 9,0 9,9"/>{word.format("Hà")}{word.format("Nội")}'
    archives.page(tmp_path, [line + "</TextLine>"])
    (found,) = page.parse(tmp_path)
    assert found.text == "Hà Nội"


def test_what_cannot_be_used_is_skipped_with_a_reason(tmp_path):
    empty = '<TextLine ID="e" HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9"/>'
    lines = [archives.ALTO_LINE.format(90, 0, 5, 5), "<TextLine/>", empty]
    archives.alto(tmp_path, lines)
    (tmp_path / "deep" / "1.jpg").write_bytes(b"no image")
    (tmp_path / "bad.xml").write_text("<alto>")
    reasons = {line.id: line.reason for line in alto.parse(tmp_path) if isinstance(line, Skipped)}
    assert reasons.pop("alto-bad").startswith("not an XML document that can be read")
    assert "not an image, or damaged" in reasons.pop("alto-deep/2")
    assert reasons == {
        "alto-1-001-l": "coordinates are outside the image",
        "alto-1-002": "no coordinates",
        "alto-1-003-e": "empty label",
    }


@pytest.mark.parametrize("source", [alto, page])
def test_a_folder_without_a_document_is_an_error(tmp_path, source):
    (tmp_path / "mets.xml").write_text("<mets/>")
    with pytest.raises(NetchuError, match="no document with the root element"):
        list(source.parse(tmp_path))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize(("source", "write"), [(alto, to_alto), (page, to_page)])
def test_what_netchu_writes_is_read_again(tmp_path, source, write, turns):
    letters = tuple(
        Character(c, 0.9, 5.0 + 8 * n, 10, 13.0 + 8 * n, 30, ()) for n, c in enumerate("Hà Nội")
    )
    reading = PhotoReading(
        "Hà Nội", 0.5, (LineReading("Hà Nội", 0.5, (5, 10, 60, 30), letters),), (80, 40)
    )
    reading = rotate_reading(reading, turns)
    (tmp_path / "a.xml").write_text(write("a.png", reading), encoding="utf-8")
    upright_HW = np.random.default_rng(0).integers(0, 255, (40, 80), np.uint8)
    photo_HW = np.ascontiguousarray(np.rot90(upright_HW, -turns))
    assert cv2.imwrite(str(tmp_path / "a.png"), photo_HW)
    (line,) = source.parse(tmp_path)
    assert isinstance(line, Line)
    assert line.text == "Hà Nội"
    crop_HW = decode(line.image, "line")
    assert crop_HW.shape in {(20, 55), (19, 54)}  # the points of PAGE are those of pixels
    middle = (slice(2, 17), slice(2, 52))
    offsets = [(y, x) for y in range(10, 12) for x in range(5, 7)]
    assert any((crop_HW[middle] == upright_HW[y:, x:][middle]).all() for y, x in offsets)


@pytest.mark.parametrize(
    ("where", "attribute", "turns"),
    [
        ("Page", 'orientation="-90"', 1),
        ("TextRegion", 'orientation="87.5"', 3),
        ("TextRegion", 'orientation="0.9"', 0),
        ("TextRegion", 'readingOrientation="180"', 2),
        ("TextRegion", 'orientation="90" readingOrientation="90"', 2),
        ("TextRegion", 'orientation="askew"', 0),
    ],
)
def test_lines_of_a_turned_page_are_made_upright(tmp_path, where, attribute, turns):
    archives.page(tmp_path)
    (file,) = tmp_path.rglob("*.xml")
    straight = [decode(line.image, "line") for line in page.parse(tmp_path)]
    file.write_text(file.read_text().replace(f"<{where}", f"<{where} {attribute}"))
    for before_HW, line in zip(straight, page.parse(tmp_path), strict=True):
        np.testing.assert_array_equal(decode(line.image, "line"), np.rot90(before_HW, turns))
