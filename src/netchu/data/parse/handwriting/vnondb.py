"""HANDS-VNOnDB2018: pen strokes of words, lines and paragraphs, drawn as images. Research data.

The archive holds `…/InkData_<level>/<session>.inkml`. A session is one text written by one writer;
it has a file for each of the three levels. Coordinates are those of the tablet; y grows downwards.

Words, lines and paragraphs of a session are drawn at the scale at which its lines are 64 pixels
high, so a word without ascenders is not enlarged.
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
from netchu.imaging.strokes import Pen, Stroke, choose_pen, draw_strokes

LINE_HEIGHT = 64
MARGIN = 4
MAX_SIDE = 8000
"""Pixels; strokes that extend further come from a damaged file."""
MAX_X_HEIGHT = 4.0 * LINE_HEIGHT
"""Pixels; if most strokes are higher, the file is damaged, and would be drawn with a huge pen."""


@dataclass(frozen=True)
class TraceGroup:
    """One `traceGroup` of InkML: a word, a line or a paragraph.

    Attributes:
        id: as in the file.
        text: the label, normalised.
        strokes: in tablet units.
        traces: id of each stroke; words and lines of a session share them.
    """

    id: str
    text: str
    strokes: list[Stroke]
    traces: list[str]


@dataclass(frozen=True)
class Session:
    """One file: a text by one writer, split into the words, lines or paragraphs of `level`."""

    level: str
    name: str
    writer: str
    groups: list[TraceGroup]


@dataclass(frozen=True)
class DrawingStyle:
    """How a session is drawn: pixels per tablet unit, the pen, and the grey value of the ink."""

    scale: float
    pen: Pen
    shade: int


def parse(folder: Path, levels: Collection[str] = LEVELS) -> Iterator[Line | Skipped]:
    """Yield every line, then every word and paragraph, drawn, in the archive's order."""
    styles: dict[str, DrawingStyle] = {}
    for session in sessions(folder, ("line",)):
        styles[session.name] = _style(session)
        if session.level in levels:
            yield from _draw_all(session, styles[session.name])
    if not styles:
        raise NetchuError(f"vnondb: {SOURCE.file} holds no InkData_line/*.inkml; download it again")
    if not (others := set(levels) - {"line"}):
        return
    for session in sessions(folder, others):
        if session.name in styles:
            yield from _draw_all(session, styles[session.name])
        else:
            yield Skipped(f"vnondb-{session.level}-{session.name}", "session without lines")


def sessions(folder: Path, levels: Collection[str]) -> Iterator[Session]:
    """Yield the sessions of the given levels as strokes, in the archive's order.

    Raises:
        NetchuError: the archive is missing or damaged, or a file is not InkML.
    """
    for path, content in tar_members(folder / SOURCE.file, SOURCE.name, ".inkml"):
        level = Path(path).parent.name.removeprefix("InkData_")
        if level in levels:
            try:
                root = ElementTree.fromstring(content)
                groups = [_trace_group(group) for group in root.iter("traceGroup")]
            except (ElementTree.ParseError, ValueError, LookupError) as error:
                raise NetchuError(
                    f"vnondb: {path} is not InkML ({error}); download it again"
                ) from None
            writer = (root.findtext("annotationXML/Writer_ID") or "").strip()
            yield Session(level, Path(path).stem, writer, groups)


def _trace_group(group: ElementTree.Element) -> TraceGroup:
    text = normalise(group.findtext("annotationXML/Tg_Truth") or "")
    traces = [(t.get("id", ""), (t.text or "").strip()) for t in group.iter("trace")]
    strokes = [_stroke(points) for _, points in traces if points]
    names = [name for name, points in traces if points]
    return TraceGroup(group.get("id", ""), text, strokes, names)


def _stroke(points: str) -> Stroke:
    """Parse 'x y,x y,…'; other values of a point (pressure, time) are ignored.

    Raises:
        ValueError: a point has fewer than two values, or one that is no finite number.
    """
    values = len(points.split(",", 1)[0].split())
    if values < 2:
        raise ValueError(f"a point of one value, {points[:20]!r}")
    flat = np.fromstring(points.replace(",", " "), np.float32, sep=" ")
    if not np.isfinite(flat).all():
        raise ValueError(f"a point that is not finite, {points[:20]!r}")
    return flat.reshape(-1, values)[:, :2]


def _draw_all(session: Session, style: DrawingStyle) -> Iterator[Line | Skipped]:
    for group in session.groups:
        name = f"vnondb-{session.level}-{session.name}-{group.id}"
        yield _line(group, name, session.writer, session.level, style)


def _style(session: Session) -> DrawingStyle:
    """Choose the scale at which the median line is 64 pixels high, and a random pen and grey."""
    written = [line.strokes for line in session.groups if line.strokes]
    extents = [float(np.ptp(np.concatenate(strokes)[:, 1])) for strokes in written]
    typical = max(statistics.median(extents), 1.0) if extents else 1.0
    scale = (LINE_HEIGHT - 2 * MARGIN) / typical
    # Most strokes are letters without an ascender: the median height is about the x-height.
    heights = [float(np.ptp(stroke[:, 1])) for strokes in written for stroke in strokes]
    x_height = scale * statistics.median(heights) if heights else LINE_HEIGHT / 4
    x_height = min(x_height, MAX_X_HEIGHT)
    rng = np.random.default_rng(zlib.crc32(session.name.encode()))
    return DrawingStyle(scale, choose_pen(rng, x_height), int(rng.integers(0, 80)))


def _line(
    group: TraceGroup, name: str, writer: str, level: str, style: DrawingStyle
) -> Line | Skipped:
    if not group.strokes:
        return Skipped(name, "no ink")
    if not group.text:
        return Skipped(name, "empty label")
    image = draw_page(group.strokes, style, zlib.crc32(name.encode()))
    if image is None:
        return Skipped(name, "ink far too large")
    return Line(
        id=name,
        image=encode(image),
        text=group.text,
        writer=writer,
        source="vnondb",
        level=level,
        split="",
        width=image.shape[1],
        height=image.shape[0],
    )


def draw_page(strokes: list[Stroke], style: DrawingStyle, seed: int) -> Grey | None:
    """Draw strokes in tablet units on white paper of at least `LINE_HEIGHT`.

    Strokes lower than a line are placed vertically by `seed`.

    Returns:
        Grey HW, or None if it would be larger than `MAX_SIDE`.
    """
    extent = np.ptp(np.concatenate(strokes), axis=0) * style.scale
    if extent.max() > MAX_SIDE:
        return None
    ink_HW = draw_strokes([stroke * np.float32(style.scale) for stroke in strokes], style.pen)
    height = max(LINE_HEIGHT, ink_HW.shape[0] + 2)
    slack = height - ink_HW.shape[0]
    top = round(slack * (0.25 + 0.5 * (seed % 1000) / 999))
    page = np.zeros((height, ink_HW.shape[1] + 2 * MARGIN), np.float32)
    page[top : top + ink_HW.shape[0], MARGIN:-MARGIN] = ink_HW
    return np.asarray(np.rint(255 - page * (255 - style.shade)), np.uint8)
