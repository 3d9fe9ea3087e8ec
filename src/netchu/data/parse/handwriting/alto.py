"""ALTO documents of transcribed pages with their images, under their own licence.

The folder holds XML files, as kraken, eScriptorium and `netchu read --format alto` write them, and
the images that they name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from netchu.data.line_table import LEVELS, Line, Skipped
from netchu.data.parse.page_lines import (
    Document,
    DocumentLine,
    Points,
    local_name,
    page_size,
    parse_documents,
    parse_points,
    text_lines,
)


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Yield the text lines of all documents in a folder and below it.

    Raises:
        NetchuError: there is no ALTO document.
    """
    return parse_documents("alto", "alto", _read, folder, levels)


def _read(root: ET.Element) -> Document:
    return Document(
        (root.findtext(".//{*}sourceImageInformation/{*}fileName") or "").strip(),
        page_size(root.find(".//{*}Page"), "WIDTH", "HEIGHT"),
        [
            # The angle is that of the text, counter-clockwise.
            DocumentLine(line.get("ID", ""), _text(line), _points(line), round(-angle / 90) % 4)
            for line, angle in text_lines(root, ("ROTATION",))
        ],
    )


def _text(line: ET.Element) -> str:
    """Return the strings of a line, separated by spaces; a hyphen belongs to the last one."""
    strings = [part.get("CONTENT", "") for part in line if local_name(part) == "String"]
    hyphens = [part.get("CONTENT", "") for part in line if local_name(part) == "HYP"]
    return " ".join(strings) + "".join(hyphens)


def _points(line: ET.Element) -> Points | None:
    """Return the polygon of a line, or its box."""
    polygon = line.find("{*}Shape/{*}Polygon")
    if polygon is not None:
        return parse_points(polygon.get("POINTS", ""))
    try:
        left, top, width, height = (
            float(line.attrib[name]) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")
        )
    except (KeyError, ValueError):
        return None
    right, bottom = left + width, top + height
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
