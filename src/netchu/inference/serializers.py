"""How `netchu read` writes what it read: plain text, JSON lines, or a CSV table.

Each style turns (path, reading or error) pairs into blocks of text as they come, one for each
pair, so that whoever waits at the other end of a pipe sees a photo as soon as it is read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from netchu.core.errors import NetchuError

if TYPE_CHECKING:
    from netchu.decoding.readings import Character, LineReading, PhotoReading

    Result = tuple[str, PhotoReading | NetchuError]

COLUMNS = ("path", "line", "text", "confidence", "left", "top", "right", "bottom", "error")
"""Of the CSV table: a row for each line of handwriting; an empty or unread photo has one row."""


def plain(results: Iterable[Result], headings: bool) -> Iterator[str]:
    """The text alone; with `headings` each photo's path above it. What was not read is left out."""
    before = ""
    for path, result in results:
        if isinstance(result, NetchuError):
            continue
        text = f"{result.text}\n" if result.text else ""
        yield f"{before}{path}:\n{text}" if headings else text
        before = "\n"


def json_lines(results: Iterable[Result]) -> Iterator[str]:
    """`as_object` of each photo, one a line."""
    for path, result in results:
        yield json.dumps(as_object(path, result), ensure_ascii=False) + "\n"


def as_object(path: str, result: PhotoReading | NetchuError) -> dict[str, Any]:
    """A photo for JSON.

    It holds path, text, confidence, size and lines with their boxes, characters and alternatives;
    of a photo that could not be read it holds path, `text: null`, `confidence: null` and error.
    """
    if isinstance(result, NetchuError):
        return {"path": path, "text": None, "confidence": None, "error": str(result)}
    return {
        "path": path,
        "text": result.text,
        "confidence": _share(result.confidence),
        "size": result.size,
        "lines": [_line(line) for line in result.lines],
    }


def table(results: Iterable[Result]) -> Iterator[str]:
    """A header, then a row for each line of handwriting, numbered from 1 in each photo."""
    yield _rows([COLUMNS])
    for path, result in results:
        if isinstance(result, NetchuError):
            yield _rows([(path, "", "", "", "", "", "", "", str(result))])
        elif not result.lines:
            yield _rows([(path, "", "", _share(result.confidence), "", "", "", "", "")])
        else:
            yield _rows(
                (path, number, line.text, _share(line.confidence), *line.box, "")
                for number, line in enumerate(result.lines, start=1)
            )


def _line(line: LineReading) -> dict[str, Any]:
    return {
        "text": line.text,
        "confidence": _share(line.confidence),
        "box": line.box,
        "characters": [_character(character) for character in line.characters],
    }


def _character(character: Character) -> dict[str, Any]:
    return {
        "text": character.text,
        "confidence": _share(character.confidence),
        "left": round(character.left, 1),
        "right": round(character.right, 1),
        "alternatives": [
            {"text": text, "confidence": _share(confidence)}
            for text, confidence in character.alternatives
        ],
    }


def _share(probability: float) -> float:
    return round(probability, 4)


def _rows(rows: Iterable[Iterable[Any]]) -> str:
    block = io.StringIO()
    csv.writer(block, lineterminator="\n").writerows(rows)
    return block.getvalue()
