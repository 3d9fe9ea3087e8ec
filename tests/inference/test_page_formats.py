"""ALTO, PAGE and hOCR: their structure here, their schemas in the slow test."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from netchu.inference.page_formats import ALTO, PAGE, XHTML, to_alto, to_hocr, to_page
from netchu.inference.postprocessing import rotate_reading
from netchu.inference.results import Character, LineReading, PhotoReading


def characters(text, left, step, top, bottom):
    return tuple(
        Character(letter, 0.9, left + step * n, top, left + step * (n + 1), bottom, ())
        for n, letter in enumerate(text)
    )


READING = PhotoReading(
    "Số 5 <A&B>\nhuyện",
    0.6,
    (
        LineReading(
            "Số 5 <A&B>", 0.7, (10, 20, 111, 50), characters("Số 5 <A&B>", 10.2, 10, 20, 50)
        ),
        LineReading("huyện", 0.6, (12, 60, 80, 90), characters("huyện", 12, 10, 60, 90)),
    ),
    (200, 100),
)
EMPTY = PhotoReading("", 0.0, (), (200, 100))
NAME = 'a "b"\udcff.jpg'
WORDS = ["Số", "5", "<A&B>", "huyện"]


def test_alto_has_every_word_with_its_box_and_confidence():
    root = ET.fromstring(to_alto(NAME, READING).encode())
    space = {"a": ALTO}
    assert root.find(".//a:fileName", space).text == 'a "b"\ufffd.jpg'
    page = root.find("a:Layout/a:Page", space)
    assert (page.get("WIDTH"), page.get("HEIGHT")) == ("200", "100")
    lines = page.findall("a:PrintSpace/a:TextBlock/a:TextLine", space)
    assert [[child.tag.split("}")[1] for child in line] for line in lines] == [
        ["String", "SP", "String", "SP", "String"], ["String"],
    ]  # fmt: skip
    words = page.findall(".//a:String", space)
    assert [word.get("CONTENT") for word in words] == WORDS
    assert float(words[0].get("WC")) == pytest.approx(0.81)
    box = [int(words[1].get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    assert box == [40, 20, 11, 30]
    names = [element.get("ID") for element in root.iter() if element.get("ID")]
    assert len(names) == len(set(names))


def test_page_has_lines_and_words_with_coordinates_and_confidences():
    root = ET.fromstring(to_page(NAME, READING).encode())
    space = {"p": PAGE}
    page = root.find("p:Page", space)
    assert page.attrib == {
        "imageFilename": 'a "b"\ufffd.jpg', "imageWidth": "200", "imageHeight": "100",
    }  # fmt: skip
    lines = page.findall("p:TextRegion/p:TextLine", space)
    assert [line.find("p:TextEquiv/p:Unicode", space).text for line in lines] == [
        "Số 5 <A&B>", "huyện",
    ]  # fmt: skip
    assert lines[0].find("p:Coords", space).get("points") == "10,20 110,20 110,49 10,49"
    assert lines[1].find("p:TextEquiv", space).get("conf") == "0.6000"
    words = page.findall(".//p:Word/p:TextEquiv/p:Unicode", space)
    assert [word.text for word in words] == WORDS


def test_hocr_has_a_page_for_each_photo_and_a_box_for_each_word():
    root = ET.fromstring("".join(to_hocr([(NAME, READING), ("b.jpg", EMPTY)])).encode())
    pages = root.findall(f".//{{{XHTML}}}div[@class='ocr_page']")
    assert [page.get("title").split("; ")[1:] for page in pages] == [
        ["bbox 0 0 200 100", "ppageno 0"], ["bbox 0 0 200 100", "ppageno 1"],
    ]  # fmt: skip
    words = root.findall(f".//{{{XHTML}}}span[@class='ocrx_word']")
    assert [word.text for word in words] == WORDS
    assert words[1].get("title") == "bbox 40 20 51 50; x_wconf 90"


def test_ink_that_was_not_read_is_in_every_document():
    for reading in (READING, EMPTY):
        reading = replace(reading, unread=((1, 2, 30, 40), (5, 6, 7, 8)))
        alto = ET.fromstring(to_alto(NAME, reading).encode())
        found = alto.findall(".//a:PrintSpace/a:Illustration", {"a": ALTO})
        edges = "HPOS", "VPOS", "WIDTH", "HEIGHT"
        boxes = [tuple(map(element.get, edges)) for element in found]
        assert boxes == [("1", "2", "29", "38"), ("5", "6", "2", "2")]
        page = ET.fromstring(to_page(NAME, reading).encode())
        found = page.findall(".//p:UnknownRegion/p:Coords", {"p": PAGE})
        assert [element.get("points") for element in found] == [
            "1,2 29,2 29,39 1,39", "5,6 6,6 6,7 5,7",
        ]  # fmt: skip
        hocr = ET.fromstring("".join(to_hocr([(NAME, reading)])).encode())
        found = hocr.findall(f".//{{{XHTML}}}div[@class='ocr_image']")
        assert [element.get("title") for element in found] == ["bbox 1 2 30 40", "bbox 5 6 7 8"]


@pytest.mark.parametrize(
    ("turns", "counter_clockwise", "clockwise"), [(1, 270, -90), (2, 180, 180), (3, 90, 90)]
)
def test_a_turned_photo_has_its_boxes_in_the_photo_and_says_so(turns, counter_clockwise, clockwise):
    """Text that is turned by `counter_clockwise` is upright after a clockwise turn of as much."""
    reading = rotate_reading(READING, turns)
    shown_HW = np.zeros((100, 200), np.uint8)
    shown_HW[20:50, 10:31] = 1  # the first word
    shown_HW[20:50, 31:40] = 2  # the space after it
    photo_HW = np.rot90(shown_HW, -turns)

    def box(value):
        rows, columns = np.nonzero(photo_HW == value)
        return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1

    root, space = ET.fromstring(to_alto("a.jpg", reading).encode()), {"a": ALTO}
    page = root.find(".//a:Page", space)
    assert (int(page.get("HEIGHT")), int(page.get("WIDTH"))) == photo_HW.shape
    assert float(root.find(".//a:TextBlock", space).get("ROTATION")) == counter_clockwise
    for kind, value in (("String", 1), ("SP", 2)):
        part = root.find(f".//a:{kind}", space)
        left, top, width, height = (
            int(part.get(name)) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")
        )
        assert np.abs(np.subtract((left, top, left + width, top + height), box(value))).max() <= 1

    root, space = ET.fromstring(to_page("a.jpg", reading).encode()), {"p": PAGE}
    page = root.find("p:Page", space)
    assert (int(page.get("imageHeight")), int(page.get("imageWidth"))) == photo_HW.shape
    assert float(root.find(".//p:TextRegion", space).get("orientation")) == clockwise
    points = root.find(".//p:Word/p:Coords", space).get("points").split()
    (left, top), (right, bottom) = (map(int, points[n].split(",")) for n in (0, 2))
    assert np.abs(np.subtract((left, top, right + 1, bottom + 1), box(1))).max() <= 1

    hocr = ET.fromstring("".join(to_hocr([("a.jpg", reading)])).encode())
    line = hocr.find(f".//{{{XHTML}}}span[@class='ocr_line']").get("title")
    assert line.split("; ")[1:] == [f"textangle {counter_clockwise}"]


def test_an_upright_photo_has_no_angle():
    assert "ROTATION" not in to_alto("a.jpg", READING)
    assert "orientation" not in to_page("a.jpg", READING)
    assert "textangle" not in "".join(to_hocr([("a.jpg", READING)]))


VALIDATE = """
import sys
from pathlib import Path
from lxml import etree
schema = etree.XMLSchema(etree.parse(sys.argv[-1]))
for path in sys.argv[1:-2]:
    schema.assertValid(etree.parse(path))
from hocr_spec import HocrValidator
report = HocrValidator("standard").validate(sys.argv[-2])
errors = [part for part in report.format("text").splitlines() if "error" in part.lower()]
print("\\n".join(errors))
"""


@pytest.mark.slow
def test_documents_fit_the_schema_of_page_and_the_rules_of_hocr(tmp_path):
    """OCR-D's package holds the schema of PAGE. No package holds that of ALTO."""
    site = tmp_path / "site"
    packages = ["--no-deps", "ocrd==3.13.3", "hocr-spec==0.2.0", "future==1.0.0", "lxml==6.0.2"]
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "install", "-q", "--target", site, *packages],
        check=True,
    )
    files = [tmp_path / name for name in ("page.xml", "empty.xml", "turned.xml", "page.html")]
    unread = replace(READING, unread=((1, 2, 30, 40),))
    turned = rotate_reading(unread, 1)
    hocr = to_hocr([("a.jpg", unread), ("b.jpg", EMPTY), ("c.jpg", turned)])
    contents = [to_page("a.jpg", unread), to_page("a.jpg", EMPTY), to_page("a.jpg", turned),
                "".join(hocr)]  # fmt: skip
    for file, content in zip(files, contents, strict=True):
        file.write_text(content, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE, *files, site / "ocrd_validators" / "page.xsd"],
        env={"PYTHONPATH": str(site)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
