"""The outputs of `netchu read`: plain text, JSON lines and CSV.

The dataclasses are the only description of a reading as JSON: `netchu read` writes them, and
FastAPI builds the OpenAPI schema of `netchu serve` from their types and from the metadata of their
fields, so that no module here imports Pydantic.

Each output function takes (path, reading or error) pairs and yields one block of text per photo as
soon as it is read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from netchu.core.errors import NetchuError
from netchu.core.spreadsheets import guard_formulas

if TYPE_CHECKING:
    from netchu.inference.results import Character, LineReading, PhotoReading

    ReadResult = tuple[str, PhotoReading | NetchuError]

CSV_COLUMNS = ("path", "line", "text", "confidence", "left", "top", "right", "bottom", "error")
"""Each line of handwriting is a row, and so is ink that was not read: it has a box, no line and
`UNREAD` as its error. A photo with neither, or that cannot be read, has one row."""

UNREAD = "ink that was not read; crop it to read it"


def _doc(description: str, **bounds: float) -> dict[str, Any]:
    """Return the metadata of a field that Pydantic turns into its JSON schema."""
    return {"description": description, **bounds}


@dataclass(frozen=True)
class AlternativeJson:
    """Another character that a character might be."""

    text: str
    confidence: float = field(metadata=_doc("its probability", ge=0, le=1))


@dataclass(frozen=True)
class CharacterJson:
    """One character of a line."""

    text: str
    confidence: float = field(metadata=_doc("probability that it is right", ge=0, le=1))
    left: float = field(metadata=_doc("of its box, in px of the photo after its EXIF rotation"))
    top: float
    right: float
    bottom: float
    alternatives: list[AlternativeJson] = field(
        metadata=_doc("other characters, most probable first")
    )


@dataclass(frozen=True)
class LineJson:
    """One line of handwriting."""

    text: str
    confidence: float = field(metadata=_doc("probability that all of it is right", ge=0, le=1))
    box: tuple[int, int, int, int] = field(
        metadata=_doc("left, top, right, bottom, in px of the photo after its EXIF rotation")
    )
    characters: list[CharacterJson] = field(metadata=_doc("in the order of the text"))


@dataclass(frozen=True)
class PhotoJson:
    """A photo that was read."""

    path: str = field(metadata=_doc("path or file name of the image"))
    text: str = field(metadata=_doc("the lines, joined by line breaks; empty without handwriting"))
    confidence: float = field(metadata=_doc("lowest confidence of the lines", ge=0, le=1))
    size: tuple[int, int] = field(metadata=_doc("width and height in px, after the EXIF rotation"))
    turns: int = field(
        metadata=_doc("quarter turns counter-clockwise that make the photo upright", ge=0, le=3)
    )
    lines: list[LineJson] = field(metadata=_doc("in reading order"))
    unread: list[tuple[int, int, int, int]] = field(
        metadata=_doc("boxes, as those of lines, around ink that was not read")
    )


@dataclass(frozen=True)
class FailedPhotoJson:
    """A photo that could not be read."""

    path: str = field(metadata=_doc("path or file name of the image"))
    text: None
    confidence: None
    error: str = field(metadata=_doc("the reason, and what to do about it"))


def to_json(path: str, result: PhotoReading | NetchuError) -> dict[str, Any]:
    """Return a photo as `PhotoJson`, or as `FailedPhotoJson` if it could not be read."""
    if isinstance(result, NetchuError):
        return asdict(FailedPhotoJson(path, None, None, str(result)))
    lines = [_line(line) for line in result.lines]
    return asdict(
        PhotoJson(
            path,
            result.text,
            _round(result.confidence),
            result.size,
            result.turns,
            lines,
            list(result.unread),
        )
    )


def to_json_lines(results: Iterable[ReadResult]) -> Iterator[str]:
    """Yield `to_json` of each photo as one line."""
    for path, result in results:
        yield json.dumps(to_json(path, result), ensure_ascii=False) + "\n"


def to_text(results: Iterable[ReadResult], headings: bool) -> Iterator[str]:
    """Yield the text of each photo, below its path if `headings` is set; skip errors."""
    separator = ""
    for path, result in results:
        if isinstance(result, NetchuError):
            continue
        text = f"{result.text}\n" if result.text else ""
        yield f"{separator}{path}:\n{text}" if headings else text
        separator = "\n"


def to_csv(results: Iterable[ReadResult]) -> Iterator[str]:
    """Yield a header, then the rows of each photo; lines are numbered from 1 in each photo.

    Text that begins like a formula has a zero-width space before it, see `guard_formulas`.
    """
    yield _csv_rows([CSV_COLUMNS])
    for path, result in results:
        if isinstance(result, NetchuError):
            yield _csv_rows([(path, "", "", "", "", "", "", "", str(result))])
            continue
        rows: list[tuple[Any, ...]] = [
            (path, number, line.text, _round(line.confidence), *line.box, "")
            for number, line in enumerate(result.lines, start=1)
        ]
        rows += [(path, "", "", "", *box, UNREAD) for box in result.unread]
        yield _csv_rows(rows or [(path, "", "", _round(result.confidence), "", "", "", "", "")])


def _line(line: LineReading) -> LineJson:
    characters = [_character(character) for character in line.characters]
    return LineJson(line.text, _round(line.confidence), line.box, characters)


def _character(character: Character) -> CharacterJson:
    return CharacterJson(
        character.text,
        _round(character.confidence),
        round(character.left, 1),
        round(character.top, 1),
        round(character.right, 1),
        round(character.bottom, 1),
        [AlternativeJson(text, _round(p)) for text, p in character.alternatives],
    )


def _round(probability: float) -> float:
    return round(probability, 4)


def _csv_rows(rows: Iterable[Iterable[Any]]) -> str:
    block = io.StringIO()
    csv.writer(block, lineterminator="\n").writerows(
        [guard_formulas(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return block.getvalue()
