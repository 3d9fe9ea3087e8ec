"""Parsing CSV tables of the user."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

import archives
from netchu.core.errors import NetchuError
from netchu.data.line_table import Line, Skipped
from netchu.data.parse.handwriting import csv
from netchu.imaging.images import decode


def parsed(folder, **table):
    archives.csv(folder, **table)
    return list(csv.parse(folder))


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path):
    rows = ['Img/0.png,"Lê\nxu",an', "", "Img/1.png,Lê,an"]
    assert [line.id for line in parsed(tmp_path, rows=rows)] == ["csv-000002", "csv-000004"]


def test_rows_become_words_and_lines(tmp_path):
    lines = parsed(tmp_path)
    assert [(line.id, line.text, line.writer, line.level) for line in lines] == [
        ("csv-000002", "Lê xu, bạc", "an", "line"),
        ("csv-000003", "Lê", "an", "word"),
        ("csv-000004", "xu", "bình", "word"),
    ]
    assert lines[0].image == archives.photo(0, extension=".png")
    assert list(csv.parse(tmp_path / "english.csv")) == lines


def test_column_order_further_columns_and_a_byte_order_mark_do_not_matter(tmp_path):
    lines = parsed(tmp_path, header="\ufeffsize, label ,image", rows=["9,Lê, Img/0.png", ",,"])
    assert [(line.text, line.writer) for line in lines] == [("Lê", "")]


def test_lines_that_cannot_be_used_are_skipped_with_a_reason(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    (tmp_path / "empty.png").write_bytes(b"")
    rows = ["nowhere.png,a", "bad.png,a", "empty.png,a", "Img/0.png, ", "Img/0.png", ",a",
            f"{'long' * 99}.png,a"]  # fmt: skip
    skipped = parsed(tmp_path, rows=rows)
    assert all(isinstance(line, Skipped) for line in skipped)
    assert [line.reason.split(":")[0] for line in skipped] == [
        "image is missing", "not an image, or damaged", "not an image, or damaged", "empty label",
        "empty label", "image is missing", "image is missing",
    ]  # fmt: skip
    assert skipped[0].reason == "image is missing: nowhere.png"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"header": "filename,text"}, "column 'image' is missing; found: filename, text"),
        ({"header": "image;label", "rows": []}, "found: image;label"),
        ({"header": "", "rows": []}, "an empty file"),
        ({"rows": ["Img/0.png,Lê xu, bạc,an"]}, "row 2: 4 cells under 3 columns"),
        ({"rows": ['Img/0.png,"Lê']}, "not a CSV file"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_one_line_error(tmp_path, table, complaint):
    with pytest.raises(NetchuError) as error:
        parsed(tmp_path, **table)
    assert complaint in str(error.value)
    assert "english.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_encoding_other_than_utf_8_is_an_error(tmp_path):
    (tmp_path / "a.csv").write_text("image,label\nx.png,Lê\n", encoding="cp1258")
    with pytest.raises(NetchuError, match=r"a\.csv is not a CSV file in UTF-8"):
        list(csv.parse(tmp_path))


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"]])
def test_a_folder_without_exactly_one_table_is_an_error(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("image,label\n")
    with pytest.raises(NetchuError, match=f"found: {', '.join(names) or 'none'}"):
        list(csv.parse(tmp_path))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GREY = Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 60), dtype=np.uint8))
TURNED = Image.Exif()
TURNED[0x112] = 6  # rotated by 90 degrees


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (encoded(GREY, "BMP"), (20, 60)),
        (encoded(GREY, "TIFF"), (20, 60)),
        (encoded(GREY.convert("RGB"), "PNG"), (20, 60)),
        (encoded(GREY, "JPEG", exif=TURNED), (60, 20)),
        (encoded(GREY.convert("RGB"), "JPEG", exif=TURNED), (60, 20)),
    ],
)
def test_every_image_becomes_grey_with_its_displayed_size(tmp_path, content, shape):
    (tmp_path / "x").write_bytes(content)
    (line,) = parsed(tmp_path, rows=["x,a"])
    assert isinstance(line, Line)
    assert line.image.startswith((b"\x89PNG", b"\xff\xd8"))
    assert cv2.imdecode(np.frombuffer(line.image, np.uint8), cv2.IMREAD_UNCHANGED).ndim == 2
    assert decode(line.image, "x").shape == (line.height, line.width) == shape


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_transparent_pixels_become_paper(tmp_path, depth):
    page = np.zeros((20, 60, 4), depth)
    page[8:12, 10:50, 3] = np.iinfo(depth).max
    (tmp_path / "x.png").write_bytes(cv2.imencode(".png", page)[1].tobytes())
    (line,) = parsed(tmp_path, rows=["x.png,a"])
    image = decode(line.image, "x")
    assert image[10, 30] == 0
    assert image[2, 30] == 255


@pytest.mark.parametrize("name", ["image", "label", "writer"])
def test_a_column_that_is_there_twice_is_an_error(tmp_path, name):
    table = tmp_path / "mine.csv"
    table.write_text(f"image,label,writer,{name}\na.png,b,c,d\n", encoding="utf-8")
    with pytest.raises(NetchuError, match=f"two columns are called '{name}'; rename one"):
        list(csv.parse(table))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(NetchuError, match=r"gone\.csv: no such table; check the path"):
        list(csv.parse(tmp_path / "gone.csv"))
