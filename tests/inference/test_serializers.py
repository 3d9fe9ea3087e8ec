"""Results as text, JSON lines and CSV."""

import csv
import io
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.core.spreadsheets import guard_formulas
from netchu.inference import serializers
from netchu.inference.results import Character, LineReading, PhotoReading

ERROR = NetchuError("b.jpg: not an image; replace it")


def line(text, box=(1, 2, 30, 40), confidence=0.87654):
    characters = tuple(
        Character(letter, 0.91239, 8.04 * place, 2, 8.04 * (place + 1), 40, (("ă", 0.05),))
        for place, letter in enumerate(text)
    )
    return LineReading(text, confidence, box, characters)


def photo(*texts):
    lines = tuple(line(text) for text in texts)
    confidence = min((found.confidence for found in lines), default=0.0)
    return PhotoReading("\n".join(texts), confidence, lines, (600, 80))


def test_text_of_one_photo_and_of_an_empty_one():
    assert (
        "".join(serializers.to_text([("a.jpg", photo("Tổ 3", "Hà Nội"))], False))
        == "Tổ 3\nHà Nội\n"
    )
    assert "".join(serializers.to_text([("a.jpg", photo())], False)) == ""


def test_text_of_several_photos_has_their_paths_and_skips_errors():
    results = [("a.jpg", photo("Tổ 3")), ("b.jpg", ERROR), ("c.jpg", photo()), ("d", photo("xã"))]
    assert "".join(serializers.to_text(results, True)) == "a.jpg:\nTổ 3\n\nc.jpg:\n\nd:\nxã\n"


def test_json_has_everything_of_a_reading():
    (block,) = serializers.to_json_lines([("ảnh.jpg", photo("Tổ"))])
    assert block.endswith("\n")
    assert "Tổ" in block
    content = json.loads(block)
    assert content == {
        "path": "ảnh.jpg", "text": "Tổ", "confidence": 0.8765, "size": [600, 80],
        "turns": 0, "lines": [{
            "text": "Tổ", "confidence": 0.8765, "box": [1, 2, 30, 40],
            "characters": [
                {"text": "T", "confidence": 0.9124, "left": 0.0, "top": 2, "right": 8.0,
                 "bottom": 40, "alternatives": [{"text": "ă", "confidence": 0.05}]},
                {"text": "ổ", "confidence": 0.9124, "left": 8.0, "top": 2, "right": 16.1,
                 "bottom": 40, "alternatives": [{"text": "ă", "confidence": 0.05}]},
            ],
        }],
        "unread": [],
    }  # fmt: skip


def test_json_of_an_empty_photo_and_of_an_error():
    empty, bad = map(json.loads, serializers.to_json_lines([("a", photo()), ("b", ERROR)]))
    assert (empty["text"], empty["confidence"], empty["lines"]) == ("", 0.0, [])
    assert bad == {"path": "b", "text": None, "confidence": None, "error": str(ERROR)}


def test_csv_has_a_row_for_each_line():
    results = [("a", photo("Số 1, ngõ 2", "Hà Nội")), ("b", ERROR), ("c", photo())]
    rows = list(csv.DictReader(io.StringIO("".join(serializers.to_csv(results)))))
    assert rows[0] == {
        "path": "a", "line": "1", "text": "Số 1, ngõ 2", "confidence": "0.8765", "left": "1",
        "top": "2", "right": "30", "bottom": "40", "error": "",
    }  # fmt: skip
    assert [(row["path"], row["line"], row["text"]) for row in rows] == [
        ("a", "1", "Số 1, ngõ 2"), ("a", "2", "Hà Nội"), ("b", "", ""), ("c", "", ""),
    ]  # fmt: skip
    assert rows[2]["error"] == str(ERROR)


def test_no_cell_of_a_csv_is_a_formula():
    name = "=HYPERLINK(1).png"
    results = [(name, photo("=1+1")), (name, photo()), (name, NetchuError(f"{name}: damaged"))]
    rows = list(csv.reader(io.StringIO("".join(serializers.to_csv(results)))))[1:]
    assert [row[0].lstrip("\u200b") for row in rows] == [name] * 3
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_ink_that_was_not_read_is_in_json_and_csv():
    results = [("a", replace(photo("Tổ 3"), unread=((5, 6, 7, 8), (9, 10, 11, 12)))),
               ("b", replace(photo(), unread=((1, 2, 3, 4),)))]  # fmt: skip
    first, second = map(json.loads, serializers.to_json_lines(results))
    assert (first["unread"], second["unread"]) == ([[5, 6, 7, 8], [9, 10, 11, 12]], [[1, 2, 3, 4]])
    rows = list(csv.reader(io.StringIO("".join(serializers.to_csv(results)))))[1:]
    assert [(row[0], row[1], row[4:8], row[8]) for row in rows] == [
        ("a", "1", ["1", "2", "30", "40"], ""),
        ("a", "", ["5", "6", "7", "8"], serializers.UNREAD),
        ("a", "", ["9", "10", "11", "12"], serializers.UNREAD),
        ("b", "", ["1", "2", "3", "4"], serializers.UNREAD),
    ]  # fmt: skip


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_any_path_and_text_can_be_parsed_back(pairs):
    results = [(path, photo(text)) for path, text in pairs]
    blocks = list(serializers.to_json_lines(results))
    assert all(block.count("\n") == 1 for block in blocks)
    assert [(t["path"], t["text"]) for t in map(json.loads, blocks)] == pairs
    table = csv.reader(io.StringIO("".join(serializers.to_csv(results)), newline=""))
    guarded = [tuple(map(guard_formulas, pair)) for pair in pairs]
    assert [(row[0], row[2]) for row in table][1:] == guarded


def test_no_cell_of_the_table_is_a_formula():
    results = [("=HYPERLINK(1).png", photo("-1")), ("b;=1.jpg", photo()), ("@c", NetchuError("+"))]
    table = "".join(serializers.to_csv(results))
    for separator in ",;\t":
        rows = csv.reader(io.StringIO(table, newline=""), delimiter=separator)
        assert not any(cell.startswith(tuple("=-@+")) for row in rows for cell in row)


def test_each_photo_is_written_before_the_next_is_read():
    def results():
        yield "a", photo("Tổ 3")
        raise AssertionError("the second photo was requested too early")

    assert next(serializers.to_text(results(), True)) == "a:\nTổ 3\n"
    assert json.loads(next(serializers.to_json_lines(results())))["path"] == "a"
    table = serializers.to_csv(results())
    assert [next(table), next(table)][1].startswith("a,1,Tổ 3")
