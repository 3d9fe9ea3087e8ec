"""Lines of transcribed pages: XML documents with boxes and texts, and their images.

The sources `alto` and `page` share this module; each finds the lines in its own format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.core.errors import NetchuError
from netchu.core.files import read_regular_file
from netchu.data.line_table import LEVELS, Line, Skipped
from netchu.data.parse.photo_lines import photo_line
from netchu.imaging.images import Grey, encode
from netchu.imaging.photos import read_photo

MAX_DOCUMENT_BYTES = 2**26

Points = NDArray[np.float64]
"""Corners (N, 2) of a polygon, x and y."""


@dataclass(frozen=True)
class DocumentLine:
    """A line of a document.

    Attributes:
        id: its id in the document, '' without one.
        text: its transcription, '' without one.
        points: the polygon around it, in units of the document; None without one.
        turns: quarter turns counter-clockwise that make it upright.
    """

    id: str
    text: str
    points: Points | None
    turns: int


@dataclass(frozen=True)
class Document:
    """A transcribed page.

    Attributes:
        image: name of its image.
        size: width and height in units of the document; None if it does not say.
        lines: in the order of the document.
    """

    image: str
    size: tuple[float, float] | None
    lines: list[DocumentLine]


def parse_documents(
    source: str,
    root: str,
    read: Callable[[ET.Element], Document],
    folder: Path,
    levels: Collection[str] = LEVELS,
) -> Iterator[Line | Skipped]:
    """Yield the lines of all documents in a folder and below it.

    The writer is the document, so the lines of a page are in one split. Lines of a turned page are
    made upright. An image is looked for at
    its path relative to the document, and by its name beside it. What is outside the polygon of a
    line is painted over with paper.

    Args:
        source: name of the source.
        root: name of the root element of its documents; other XML files are left out.
        read: finds image and lines in a document.
        folder: a folder, or one document.
        levels: lines are yielded if it has `line`.

    Raises:
        NetchuError: there is no such document.
    """
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.xml"))
    top = folder.parent if folder.is_file() else folder
    found = False
    for file in files:
        name = file.relative_to(top).with_suffix("").as_posix()
        try:
            tree = ET.fromstring(read_regular_file(file, MAX_DOCUMENT_BYTES))
            if local_name(tree) != root:
                continue
            document = read(tree)
        except (ET.ParseError, NetchuError, ValueError, LookupError, RecursionError) as error:
            yield Skipped(f"{source}-{name}", f"not an XML document that can be read: {error}")
            continue
        found = True
        if "line" in levels:
            yield from _lines(f"{source}-{name}", name, file, document)
    if not found:
        raise NetchuError(f"{folder}: no document with the root element <{root}>; check the path")


def _lines(prefix: str, name: str, file: Path, document: Document) -> Iterator[Line | Skipped]:
    try:
        photo_HW = read_photo(_find_image(file, document.image))
    except NetchuError as error:
        yield Skipped(prefix, str(error))
        return
    scale = np.ones(2)
    if document.size:
        scale = np.array(photo_HW.shape[::-1]) / document.size
    for number, line in enumerate(document.lines, start=1):
        line_name = f"{prefix}-{number:03d}" + (f"-{line.id}" if line.id else "")
        if line.points is None or not np.isfinite(line.points).all():
            yield Skipped(line_name, "no coordinates")
            continue
        crop_HW = np.rot90(_crop(photo_HW, line.points * scale), line.turns)
        if not crop_HW.size:
            yield Skipped(line_name, "coordinates are outside the image")
        else:
            yield photo_line(line_name, encode(crop_HW), line.text, name, "")


def _find_image(file: Path, image: str) -> Path:
    """Return the path of a document's image; it need not exist."""
    named = file.parent / image.replace("\\", "/")
    beside = file.parent / named.name
    plain = Path(re.sub(r"#[0-9]+$", "", str(named)))
    try:
        return named if plain.is_file() or not image else beside
    except OSError:  # a name that no file can have
        return beside


def _crop(photo_HW: Grey, points: Points) -> Grey:
    """Return the box around a polygon; outside the polygon it has the grey of paper."""
    height, width = photo_HW.shape
    corners = np.clip(np.rint(points), 0, (width, height)).astype(np.int32)
    left, top = corners.min(0)
    right, bottom = corners.max(0)
    crop_HW = photo_HW[top:bottom, left:right]
    if not crop_HW.size:
        return crop_HW
    inside_HW = np.zeros(crop_HW.shape, np.uint8)
    cv2.fillPoly(inside_HW, [corners - (left, top)], 1)
    paper = np.uint8(np.median(crop_HW))
    return np.where(inside_HW == 1, crop_HW, paper)


def text_lines(
    element: ET.Element, attributes: Sequence[str], angle: float = 0.0
) -> Iterator[tuple[ET.Element, float]]:
    """Yield the text lines in an element, each with its angle in degrees.

    The angle is the sum of the attributes of the line and of all elements around it.
    """
    angle += sum(_degrees(element.get(name, "")) for name in attributes)
    if local_name(element) == "TextLine":
        yield element, angle
        return
    for child in element:
        yield from text_lines(child, attributes, angle)


def _degrees(text: str) -> float:
    try:
        angle = float(text)
    except ValueError:
        return 0.0
    return angle if np.isfinite(angle) else 0.0


def page_size(page: ET.Element | None, width: str, height: str) -> tuple[float, float] | None:
    """Return the size that a page has in two attributes of these names; None if it says none.

    Raises:
        ValueError: the attributes are no positive numbers.
    """
    named = (None, None) if page is None else (page.get(width), page.get(height))
    if not named[0] or not named[1]:
        return None
    size = (float(named[0]), float(named[1]))
    if not (0 < size[0] < np.inf and 0 < size[1] < np.inf):
        raise ValueError(f"a page of {named[0][:20]} by {named[1][:20]}")
    return size


def local_name(element: ET.Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def parse_points(text: str) -> Points | None:
    """Return the points of `x,y x,y …` or `x y x y …`; None if there are fewer than three."""
    numbers = re.findall(r"-?[0-9]+(?:\.[0-9]+)?", text)
    if len(numbers) < 6 or len(numbers) % 2:
        return None
    return np.array(numbers, float).reshape(-1, 2)
