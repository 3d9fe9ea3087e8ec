"""Readings in the formats of archives: ALTO 4, PAGE 2019-07-15 and hOCR 1.2.

A document has regions, lines and words with boxes in pixels of the photo. The confidence of a word
is the probability that all of it is right, the product of those of its characters. Ink that was not
read is an Illustration (ALTO), an UnknownRegion (PAGE) or an ocr_image (hOCR).

Boxes are those in the photo as it is, also if the photo is turned. Its text block has then the
ROTATION of the text (ALTO), its region the `orientation` that corrects it (PAGE), and its lines a
`textangle` (hOCR).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, groupby
from math import ceil, floor, prod
from xml.etree import ElementTree as ET

import netchu
from netchu.inference.results import Box, LineReading, PhotoReading

ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
PAGE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
XHTML = "http://www.w3.org/1999/xhtml"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"

_DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
)


@dataclass(frozen=True)
class _Word:
    text: str
    confidence: float
    box: Box


def to_alto(path: str, reading: PhotoReading) -> str:
    """Return a photo as an ALTO document with one page."""
    root = ET.Element("alto", {
        "xmlns": ALTO, "xmlns:xsi": _XSI,
        "xsi:schemaLocation": f"{ALTO} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd",
    })  # fmt: skip
    description = ET.SubElement(root, "Description")
    ET.SubElement(description, "MeasurementUnit").text = "pixel"
    source = ET.SubElement(description, "sourceImageInformation")
    ET.SubElement(source, "fileName").text = _clean(path)
    software = ET.SubElement(
        ET.SubElement(description, "Processing", ID="processing"), "processingSoftware"
    )
    ET.SubElement(software, "softwareName").text = "netchu"
    ET.SubElement(software, "softwareVersion").text = netchu.__version__
    width, height = reading.size
    page = ET.SubElement(
        ET.SubElement(root, "Layout"), "Page",
        {"ID": "page_1", "PHYSICAL_IMG_NR": "1", "WIDTH": str(width), "HEIGHT": str(height)},
    )  # fmt: skip
    space = ET.SubElement(page, "PrintSpace", _alto_box((0, 0, width, height)))
    for number, box in enumerate(reading.unread, start=1):
        ET.SubElement(
            space, "Illustration", {"ID": f"unread_{number}", "TYPE": "unread"} | _alto_box(box)
        )
    if not reading.lines:
        return _document(root)
    block = ET.SubElement(
        space, "TextBlock", {"ID": "block_1", "LANG": "vi"} | _alto_box(_around(reading))
    )
    if reading.turns:
        block.set("ROTATION", str(_text_angle(reading)))
    numbers = count(1)
    for number, line in enumerate(reading.lines, start=1):
        if not line.text.strip():  # a line of ALTO has a word
            continue
        shown = ET.SubElement(block, "TextLine", {"ID": f"line_{number}"} | _alto_box(line.box))
        before = None
        for word in _words(line):
            if before:
                ET.SubElement(shown, "SP", _alto_box(_between(before, word.box, reading.turns % 2)))
            before = word.box
            ET.SubElement(shown, "String", {
                "ID": f"word_{next(numbers)}", "CONTENT": _clean(word.text),
                "WC": f"{word.confidence:.4f}",
            } | _alto_box(word.box))  # fmt: skip
    return _document(root)


def to_page(path: str, reading: PhotoReading) -> str:
    """Return a photo as a PAGE document."""
    root = ET.Element("PcGts", {
        "xmlns": PAGE, "xmlns:xsi": _XSI, "xsi:schemaLocation": f"{PAGE} {PAGE}/pagecontent.xsd",
    })  # fmt: skip
    metadata = ET.SubElement(root, "Metadata")
    ET.SubElement(metadata, "Creator").text = f"netchu {netchu.__version__}"
    for name in ("Created", "LastChange"):
        ET.SubElement(metadata, name).text = datetime.now(UTC).isoformat(timespec="seconds")
    width, height = reading.size
    page = ET.SubElement(
        root, "Page",
        {"imageFilename": _clean(path), "imageWidth": str(width), "imageHeight": str(height)},
    )  # fmt: skip
    for number, box in enumerate(reading.unread, start=1):
        unread = ET.SubElement(
            page, "UnknownRegion", {"id": f"unread_{number}", "custom": "unread"}
        )
        ET.SubElement(unread, "Coords", points=_points(box))
    if not reading.lines:
        return _document(root)
    region = ET.SubElement(page, "TextRegion", {"id": "region_1", "type": "paragraph"})
    if reading.turns:
        # Clockwise, from -180 (exclusive) to 180.
        region.set("orientation", str({1: -90, 2: 180, 3: 90}[reading.turns]))
    ET.SubElement(region, "Coords", points=_points(_around(reading)))
    numbers = count(1)
    for number, line in enumerate(reading.lines, start=1):
        shown = ET.SubElement(region, "TextLine", id=f"line_{number}")
        ET.SubElement(shown, "Coords", points=_points(line.box))
        for word in _words(line):
            element = ET.SubElement(shown, "Word", id=f"word_{next(numbers)}")
            ET.SubElement(element, "Coords", points=_points(word.box))
            _add_text(element, word.text, word.confidence)
        _add_text(shown, line.text, line.confidence)
    _add_text(region, reading.text, reading.confidence)
    return _document(root)


def to_hocr(results: Iterable[tuple[str, PhotoReading]]) -> Iterator[str]:
    """Yield an hOCR document of all photos, in parts: its head, a page for each photo, its end."""
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'{_DOCTYPE}<html xmlns="{XHTML}" xml:lang="vi" lang="vi">\n<head>\n<title>netchu</title>\n'
        '<meta http-equiv="Content-Type" content="text/html; charset=utf-8"/>\n'
        f'<meta name="ocr-system" content="netchu {netchu.__version__}"/>\n'
        '<meta name="ocr-capabilities" '
        'content="ocr_page ocr_image ocr_carea ocr_par ocr_line ocrx_word ocrp_wconf"/>\n'
        "</head>\n<body>\n"
    )
    for number, (path, reading) in enumerate(results, start=1):
        yield _hocr_page(path, reading, number)
    yield "</body>\n</html>\n"


def _hocr_page(path: str, reading: PhotoReading, number: int) -> str:
    image = _clean(path).replace("\\", "\\\\").replace('"', '\\"')
    whole = _bbox((0, 0, *reading.size))
    page = _hocr_element(None, "div", "ocr_page", f"page_{number}",
                         f'image "{image}"; {whole}; ppageno {number - 1}')  # fmt: skip
    for row, box in enumerate(reading.unread, start=1):
        _hocr_element(page, "div", "ocr_image", f"unread_{number}_{row}", _bbox(box))
    if reading.lines:
        around = _bbox(_around(reading))
        area = _hocr_element(page, "div", "ocr_carea", f"block_{number}_1", around)
        paragraph = _hocr_element(area, "p", "ocr_par", f"par_{number}_1", around)
        angle = f"; textangle {_text_angle(reading)}" if reading.turns else ""
        words = count(1)
        for row, line in enumerate(reading.lines, start=1):
            shown = _hocr_element(paragraph, "span", "ocr_line", f"line_{number}_{row}",
                                  _bbox(line.box) + angle)  # fmt: skip
            for word in _words(line):
                confidence = f"{_bbox(word.box)}; x_wconf {round(100 * word.confidence)}"
                element = _hocr_element(shown, "span", "ocrx_word",
                                        f"word_{number}_{next(words)}", confidence)  # fmt: skip
                element.text, element.tail = _clean(word.text), " "
    ET.indent(page, " ")
    return ET.tostring(page, encoding="unicode") + "\n"


def _hocr_element(
    parent: ET.Element | None, tag: str, kind: str, name: str, title: str
) -> ET.Element:
    attributes = {"class": kind, "id": name, "title": title}
    if parent is None:
        return ET.Element(tag, attributes)
    return ET.SubElement(parent, tag, attributes)


def _words(line: LineReading) -> Iterator[_Word]:
    """Yield the words of a line."""
    for space, group in groupby(line.characters, lambda character: character.text.isspace()):
        if space:
            continue
        characters = list(group)
        left, top = (max(0, min(map(floor, edges))) for edges in
                     zip(*((c.left, c.top) for c in characters), strict=True))  # fmt: skip
        right, bottom = (max(map(ceil, edges)) for edges in
                         zip(*((c.right, c.bottom) for c in characters), strict=True))  # fmt: skip
        yield _Word(
            "".join(c.text for c in characters),
            prod(c.confidence for c in characters),
            (left, top, max(left + 1, right), max(top + 1, bottom)),
        )


def _between(box: Box, other: Box, axis: int) -> Box:
    """Return the space between two words of a line that runs along an axis, 0 is across."""
    first, second = sorted((box, other), key=lambda word: word[axis])
    gap = list(first)
    gap[axis], gap[axis + 2] = first[axis + 2], max(first[axis + 2], second[axis])
    return gap[0], gap[1], gap[2], gap[3]


def _text_angle(reading: PhotoReading) -> int:
    """Return by how many degrees the text is rotated in the photo, counter-clockwise."""
    return -90 * reading.turns % 360


def _around(reading: PhotoReading) -> Box:
    """Return the box around all lines."""
    lefts, tops, rights, bottoms = zip(*(line.box for line in reading.lines), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _alto_box(box: Box) -> dict[str, str]:
    left, top, right, bottom = box
    return {"HPOS": str(left), "VPOS": str(top), "WIDTH": str(right - left),
            "HEIGHT": str(bottom - top)}  # fmt: skip


def _points(box: Box) -> str:
    left, top, right, bottom = box
    return f"{left},{top} {right - 1},{top} {right - 1},{bottom - 1} {left},{bottom - 1}"


def _bbox(box: Box) -> str:
    return "bbox " + " ".join(map(str, box))


def _add_text(parent: ET.Element, text: str, confidence: float) -> None:
    equivalent = ET.SubElement(parent, "TextEquiv", conf=f"{confidence:.4f}")
    ET.SubElement(equivalent, "Unicode").text = _clean(text)


def _clean(text: str) -> str:
    """Replace what XML cannot hold, such as the bytes of a file name that is not UTF-8."""
    return "".join(
        c if c in "\t\n" or ("\x20" <= c <= "\ud7ff") or ("\ue000" <= c <= "\ufffd") or c > "\uffff"
        else "\ufffd"
        for c in text
    )  # fmt: skip


def _document(root: ET.Element) -> str:
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


DOCUMENTS: dict[str, Callable[[str, PhotoReading], str]] = {"alto": to_alto, "page": to_page}
"""Formats that have a document for each photo."""
