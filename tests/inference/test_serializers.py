"""Readings as text, JSON lines and CSV."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.decoding.readings import Character, LineReading, PhotoReading
from netchu.inference import serializers

BAD = NetchuError("b.jpg: not an image; replace it")


def line(text, box=(1, 2, 30, 40), confidence=0.87654):
    characters = tuple(
        Character(letter, 0.91239, 8.04 * place, 8.04 * (place + 1), (("ă", 0.05),))
        for place, letter in enumerate(text)
    )
    return LineReading(text, confidence, box, characters)


def photo(*texts):
    lines = tuple(line(text) for text in texts)
    confidence = min((found.confidence for found in lines), default=0.0)
    return PhotoReading("\n".join(texts), confidence, lines, (600, 80))


def test_one_photo_is_its_text_and_an_empty_one_is_nothing():
    assert (
        "".join(serializers.plain([("a.jpg", photo("Tổ 3", "Hà Nội"))], False)) == "Tổ 3\nHà Nội\n"
    )
    assert "".join(serializers.plain([("a.jpg", photo())], False)) == ""


def test_several_photos_have_their_paths_above_them_and_errors_no_place():
    results = [("a.jpg", photo("Tổ 3")), ("b.jpg", BAD), ("c.jpg", photo()), ("d", photo("xã"))]
    assert "".join(serializers.plain(results, True)) == "a.jpg:\nTổ 3\n\nc.jpg:\n\nd:\nxã\n"


def test_json_tells_everything():
    (block,) = serializers.json_lines([("ảnh.jpg", photo("Tổ"))])
    assert block.endswith("\n")
    assert "Tổ" in block
    told = json.loads(block)
    assert told == {
        "path": "ảnh.jpg", "text": "Tổ", "confidence": 0.8765, "size": [600, 80],
        "lines": [{
            "text": "Tổ", "confidence": 0.8765, "box": [1, 2, 30, 40],
            "characters": [
                {"text": "T", "confidence": 0.9124, "left": 0.0, "right": 8.0,
                 "alternatives": [{"text": "ă", "confidence": 0.05}]},
                {"text": "ổ", "confidence": 0.9124, "left": 8.0, "right": 16.1,
                 "alternatives": [{"text": "ă", "confidence": 0.05}]},
            ],
        }],
    }  # fmt: skip


def test_json_of_an_empty_and_of_an_unread_photo():
    empty, bad = map(json.loads, serializers.json_lines([("a", photo()), ("b", BAD)]))
    assert (empty["text"], empty["confidence"], empty["lines"]) == ("", 0.0, [])
    assert bad == {"path": "b", "text": None, "confidence": None, "error": str(BAD)}


def test_csv_has_a_row_for_each_line():
    results = [("a", photo("Số 1, ngõ 2", "Hà Nội")), ("b", BAD), ("c", photo())]
    rows = list(csv.DictReader(io.StringIO("".join(serializers.table(results)))))
    assert rows[0] == {
        "path": "a", "line": "1", "text": "Số 1, ngõ 2", "confidence": "0.8765", "left": "1",
        "top": "2", "right": "30", "bottom": "40", "error": "",
    }  # fmt: skip
    assert [(row["path"], row["line"], row["text"]) for row in rows] == [
        ("a", "1", "Số 1, ngõ 2"), ("a", "2", "Hà Nội"), ("b", "", ""), ("c", "", ""),
    ]  # fmt: skip
    assert rows[2]["error"] == str(BAD)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_whatever_a_path_and_a_text_hold_comes_back(pairs):
    results = [(path, photo(text)) for path, text in pairs]
    blocks = list(serializers.json_lines(results))
    assert all(block.count("\n") == 1 for block in blocks)
    assert [(t["path"], t["text"]) for t in map(json.loads, blocks)] == pairs
    table = csv.reader(io.StringIO("".join(serializers.table(results)), newline=""))
    assert [(row[0], row[2]) for row in table][1:] == pairs


def test_nothing_waits_for_what_comes_after_it():
    def results():
        yield "a", photo("Tổ 3")
        raise AssertionError("the second was asked for too early")

    assert next(serializers.plain(results(), True)) == "a:\nTổ 3\n"
    assert json.loads(next(serializers.json_lines(results())))["path"] == "a"
    table = serializers.table(results())
    assert [next(table), next(table)][1].startswith("a,1,Tổ 3")
