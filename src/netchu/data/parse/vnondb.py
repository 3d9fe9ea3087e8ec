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

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.text import normalise
from netchu.data.archives import tar_members
from netchu.data.fetch.vnondb import SOURCE
from netchu.data.line_table import LEVELS, Line, Skipped
from netchu.imaging.images import Grey, encode
from netchu.imaging.strokes import Pen, Stroke, choose_pen, trace

LINE_HEIGHT = 64
MARGIN = 4
LARGEST = 8000
"""Pixels; ink that would be larger comes from a broken file."""


@dataclass(frozen=True)
class Ink:
    """One `traceGroup`: a word, a line or a paragraph; `traces` names its strokes."""

    id: str
    text: str
    strokes: list[Stroke]
    traces: list[str]


@dataclass(frozen=True)
class Session:
    """One file: what one writer wrote in one go, cut into words, lines or paragraphs."""

    level: str
    name: str
    writer: str
    inks: list[Ink]


@dataclass(frozen=True)
class Look:
    """How a session is drawn: pixels per tablet unit, its pen, the grey of its ink."""

    scale: float
    pen: Pen
    shade: int


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Draw every line, and then every word and paragraph, in the archive's order."""
    looks: dict[str, Look] = {}
    for session in sessions(folder, ("line",)):
        looks[session.name] = _look(session)
        if session.level in levels:
            yield from _draw_all(session, looks[session.name])
    if not looks:
        raise NetchuError(f"vnondb: {SOURCE.file} holds no InkData_line/*.inkml; fetch it anew")
    if not (others := set(levels) - {"line"}):
        return
    for session in sessions(folder, others):
        if session.name in looks:
            yield from _draw_all(session, looks[session.name])
        else:
            yield Skipped(f"vnondb-{session.level}-{session.name}", "session without lines")


def sessions(folder: Path, levels: Collection[str]) -> Iterator[Session]:
    """The sessions of the wanted levels as strokes, in the archive's order.

    Raises:
        NetchuError: the archive is not there or ends too early, or a file is no InkML.
    """
    for path, content in tar_members(folder / SOURCE.file, SOURCE.name, ".inkml"):
        level = Path(path).parent.name.removeprefix("InkData_")
        if level in levels:
            try:
                root = ElementTree.fromstring(content)
                inks = [_ink(group) for group in root.iter("traceGroup")]
            except (ElementTree.ParseError, ValueError) as error:
                raise NetchuError(f"vnondb: {path} is no InkML ({error}); fetch it anew") from None
            writer = (root.findtext("annotationXML/Writer_ID") or "").strip()
            yield Session(level, Path(path).stem, writer, inks)


def _ink(group: ElementTree.Element) -> Ink:
    text = normalise(group.findtext("annotationXML/Tg_Truth") or "")
    traces = [(t.get("id", ""), (t.text or "").strip()) for t in group.iter("trace")]
    strokes = [_stroke(points) for _, points in traces if points]
    return Ink(group.get("id", ""), text, strokes, [name for name, points in traces if points])


def _stroke(points: str) -> Stroke:
    """Parse 'x y,x y,…'; further values of a point (pressure, time) are left out."""
    values = len(points.split(",", 1)[0].split())
    flat = np.fromstring(points.replace(",", " "), np.float32, sep=" ")
    return flat.reshape(-1, values)[:, :2]


def _draw_all(session: Session, look: Look) -> Iterator[Line | Skipped]:
    for ink in session.inks:
        name = f"vnondb-{session.level}-{session.name}-{ink.id}"
        yield _line(ink, name, session.writer, session.level, look)


def _look(session: Session) -> Look:
    """The scale at which the session's median line fills a line's height; a pen drawn by lot."""
    written = [line.strokes for line in session.inks if line.strokes]
    extents = [float(np.ptp(np.concatenate(strokes)[:, 1])) for strokes in written]
    typical = max(statistics.median(extents), 1.0) if extents else 1.0
    scale = (LINE_HEIGHT - 2 * MARGIN) / typical
    # Most strokes are letters without an ascender: the median one is about an x-height tall.
    heights = [float(np.ptp(stroke[:, 1])) for strokes in written for stroke in strokes]
    x_height = scale * statistics.median(heights) if heights else LINE_HEIGHT / 4
    rng = np.random.default_rng(zlib.crc32(session.name.encode()))
    return Look(scale, choose_pen(rng, x_height), int(rng.integers(0, 80)))


def _line(ink: Ink, name: str, writer: str, level: str, look: Look) -> Line | Skipped:
    if not ink.strokes:
        return Skipped(name, "no ink")
    if not ink.text:
        return Skipped(name, "empty label")
    image = draw(ink.strokes, look, zlib.crc32(name.encode()))
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


def draw(strokes: list[Stroke], look: Look, seed: int) -> Grey | None:
    """Draw strokes on white paper, at least a line high; None if that would be too large.

    Ink lower than a line stands where `seed` puts it between the upper and the lower edge.
    """
    extent = np.ptp(np.concatenate(strokes), axis=0) * look.scale
    if extent.max() > LARGEST:
        return None
    ink_HW = trace([stroke * np.float32(look.scale) for stroke in strokes], look.pen)
    height = max(LINE_HEIGHT, ink_HW.shape[0] + 2)
    slack = height - ink_HW.shape[0]
    top = round(slack * (0.25 + 0.5 * (seed % 1000) / 999))
    page = np.zeros((height, ink_HW.shape[1] + 2 * MARGIN), np.float32)
    page[top : top + ink_HW.shape[0], MARGIN:-MARGIN] = ink_HW
    return np.asarray(np.rint(255 - page * (255 - look.shade)), np.uint8)
