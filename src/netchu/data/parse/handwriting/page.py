"""PAGE documents of transcribed pages with their images, under their own licence.

The folder holds XML files, as Transkribus, eScriptorium and `netchu read --format page` write them,
and the images that they name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from netchu.data.line_table import LEVELS, Line, Skipped
from netchu.data.parse.page_lines import (
    Document,
    DocumentLine,
    Points,
    page_size,
    parse_documents,
    parse_points,
    text_lines,
)


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Yield the text lines of all documents in a folder and below it.

    Raises:
        NetchuError: there is no PAGE document.
    """
    return parse_documents("page", "PcGts", _read, folder, levels)


def _read(root: ET.Element) -> Document:
    page = root.find("{*}Page")
    return Document(
        "" if page is None else page.get("imageFilename", ""),
        page_size(page, "imageWidth", "imageHeight"),
        [
            # The angle is clockwise, and corrects the rotation.
            DocumentLine(line.get("id", ""), _text(line), _points(line), round(-angle / 90) % 4)
            for line, angle in text_lines(root, ("orientation", "readingOrientation"))
        ],
    )


def _text(element: ET.Element) -> str:
    """Return the first transcription of a line, or those of its words."""
    texts = element.findall("{*}TextEquiv")
    if texts:
        first = min(texts, key=lambda text: int(text.get("index", "0")))
        return first.findtext("{*}Unicode") or first.findtext("{*}PlainText") or ""
    return " ".join(filter(None, (_text(word) for word in element.iterfind("{*}Word"))))


def _points(line: ET.Element) -> Points | None:
    coordinates = line.find("{*}Coords")
    return None if coordinates is None else parse_points(coordinates.get("points", ""))
