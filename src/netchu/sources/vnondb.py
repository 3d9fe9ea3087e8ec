"""HANDS-VNOnDB2018: pen strokes of words, lines and paragraphs, drawn as images. Research data.

The archive holds `…/InkData_<level>/<session>.inkml`; a session is one writer writing one text,
and stands in all three levels. Coordinates are the tablet's; y grows downwards. Words, lines and
paragraphs of a session are drawn at one scale, at which its lines are 64 pixels high, so that a
word without tall letters is not blown up.
"""

from __future__ import annotations

import statistics
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.errors import NetchuError
from netchu.images import Grey, encode
from netchu.lines import LEVELS, Line, Skipped
from netchu.sources.base import Source, fetch_file, github_archive, members
from netchu.text import normalise

SOURCE = Source(
    name="vnondb",
    file="vnondb.tar.xz",
    url=github_archive("Gumbolab/HandRec", "3109d892c41564d245728432169001890ea91fde"),
    licence="research data without a licence to redistribute",
)
LINE_HEIGHT = 64
MARGIN = 4
FINE = 2
"""Strokes are drawn this many times larger and then shrunk: finer pen widths, smoother edges."""
SHIFT = 3
"""Bits after the point in the coordinates given to OpenCV."""
LARGEST = 8000
"""Pixels; ink that would be larger comes from a broken file."""

Stroke = NDArray[np.float32]
"""One pen-down movement: points × (x, y)."""


@dataclass(frozen=True)
class Ink:
    """One `traceGroup`: a word, a line or a paragraph."""

    id: str
    text: str
    strokes: list[Stroke]


@dataclass(frozen=True)
class Pen:
    """How a session is drawn: pixels per tablet unit, pen width in fine pixels, grey of the ink."""

    scale: float
    width: int
    shade: int


def fetch(folder: Path) -> None:
    """Bring the archive into `folder`."""
    fetch_file(SOURCE, folder)


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Draw every line, and then every word and paragraph, in the archive's order."""
    archive = folder / SOURCE.file
    pens: dict[str, Pen] = {}
    for level, session, writer, inks in _sessions(archive, ("line",)):
        pens[session] = _pen(session, inks)
        if level in levels:
            yield from _draw_all(inks, session, writer, level, pens[session])
    if not pens:
        raise NetchuError(f"vnondb: {SOURCE.file} holds no InkData_line/*.inkml; fetch it anew")
    if not (others := set(levels) - {"line"}):
        return
    for level, session, writer, inks in _sessions(archive, others):
        if session in pens:
            yield from _draw_all(inks, session, writer, level, pens[session])
        else:
            yield Skipped(f"vnondb-{level}-{session}", "session without lines")


def _draw_all(
    inks: list[Ink], session: str, writer: str, level: str, pen: Pen
) -> Iterator[Line | Skipped]:
    for ink in inks:
        yield _line(ink, f"vnondb-{level}-{session}-{ink.id}", writer, level, pen)


def _sessions(archive: Path, levels: Collection[str]) -> Iterator[tuple[str, str, str, list[Ink]]]:
    """(level, session, writer, inks) of each file of the wanted levels."""
    for path, content in members(archive, SOURCE, ".inkml"):
        level = Path(path).parent.name.removeprefix("InkData_")
        if level in levels:
            try:
                root = ElementTree.fromstring(content)
                inks = [_ink(group) for group in root.iter("traceGroup")]
            except (ElementTree.ParseError, ValueError) as error:
                raise NetchuError(f"vnondb: {path} is no InkML ({error}); fetch it anew") from None
            writer = (root.findtext("annotationXML/Writer_ID") or "").strip()
            yield level, Path(path).stem, writer, inks


def _ink(group: ElementTree.Element) -> Ink:
    text = normalise(group.findtext("annotationXML/Tg_Truth") or "")
    traces = [(trace.text or "").strip() for trace in group.iter("trace")]
    strokes = [_stroke(points) for points in traces if points]
    return Ink(group.get("id", ""), text, strokes)


def _stroke(points: str) -> Stroke:
    """Parse 'x y,x y,…'; further values of a point (pressure, time) are left out."""
    values = len(points.split(",", 1)[0].split())
    flat = np.fromstring(points.replace(",", " "), np.float32, sep=" ")
    return flat.reshape(-1, values)[:, :2]


def _pen(session: str, lines: list[Ink]) -> Pen:
    """The scale at which the session's median line fills a line's height, and its own pen."""
    extents = [float(np.ptp(np.concatenate(line.strokes)[:, 1])) for line in lines if line.strokes]
    typical = max(statistics.median(extents), 1.0) if extents else 1.0
    rng = np.random.default_rng(zlib.crc32(session.encode()))
    return Pen(
        (LINE_HEIGHT - 2 * MARGIN) / typical, int(rng.integers(3, 7)), int(rng.integers(0, 80))
    )


def _line(ink: Ink, name: str, writer: str, level: str, pen: Pen) -> Line | Skipped:
    if not ink.strokes:
        return Skipped(name, "no ink")
    if not ink.text:
        return Skipped(name, "empty label")
    image = draw(ink.strokes, pen, zlib.crc32(name.encode()))
    if image is None:
        return Skipped(name, "ink far too large")
    return Line(
        id=name,
        image=encode(image),
        text=ink.text,
        writer=writer,
        source="vnondb",
        level=level,
        split="",
        width=image.shape[1],
        height=image.shape[0],
    )


def draw(strokes: list[Stroke], pen: Pen, seed: int) -> Grey | None:
    """Draw strokes on white paper, at least a line high; None if that would be too large.

    Ink lower than a line stands where `seed` puts it between the upper and the lower edge.
    """
    points = np.concatenate(strokes)
    corner = points.min(axis=0)
    ink_w, ink_h = (np.ptp(points, axis=0) * pen.scale).tolist()
    width = round(ink_w) + 2 * MARGIN
    height = max(LINE_HEIGHT, round(ink_h) + 2 * MARGIN)
    if max(width, height) > LARGEST:
        return None
    slack = height - 2 * MARGIN - ink_h
    top = MARGIN + max(slack, 0.0) * (0.25 + 0.5 * (seed % 1000) / 999)
    page = np.full((height * FINE, width * FINE), 255, np.uint8)
    zoom = pen.scale * FINE * (1 << SHIFT)
    offset = np.array([MARGIN, top], np.float32) * (FINE << SHIFT)
    lines = [((stroke - corner) * zoom + offset).astype(np.int32) for stroke in strokes]
    cv2.polylines(page, lines, False, pen.shade, pen.width, cv2.LINE_AA, SHIFT)
    for line in lines:  # OpenCV draws no line without a length, so no dot of an i and no full stop
        if np.ptp(line, axis=0).max() < 1 << SHIFT:
            x, y = line[0].tolist()
            radius = (pen.width << SHIFT) // 2
            cv2.circle(page, (x, y), radius, pen.shade, cv2.FILLED, cv2.LINE_AA, SHIFT)
    return np.asarray(cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
