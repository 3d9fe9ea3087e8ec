"""CER against what it costs, with the names of the systems beside their points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from netchu.report.gather import Findings, SystemResult
from netchu.report.svg import GREY, colour, logarithmic, marker, per_cent

Cost = Callable[[SystemResult], float | None]

FONT_SIZE = 9

_POINT = 7
"""Half the side, in points, of what a name must leave free around a system's point."""

_PLACES = ((8, 0), (-8, 0), (0, 11), (0, -11), (8, 11), (8, -11), (-8, 11), (-8, -11),
           (8, 22), (8, -22), (-8, 22), (-8, -22))  # fmt: skip
"""Where a name may stand: points from its system's point to the nearest end of the name."""


def size(result: SystemResult) -> float | None:
    """Megabytes of the weights; None where they are not known."""
    known: float | None = result.metrics["size_mb"]
    return known


def latency(result: SystemResult) -> float | None:
    """Median milliseconds of a line; None where it was not measured."""
    return result.speed.get("latency_p50_ms")


def draw_tradeoff(axes: Axes, findings: Findings, label: str, cost: Cost) -> None:
    """CER against a cost, both logarithmic; the line joins systems that none beats in both.

    Hollow points stand for systems on a random checkpoint, which say nothing of either; grey ones
    for baselines.
    """
    priced = [(x, result) for result in findings.measured if (x := cost(result))]
    for x, result in priced:
        ours = result in findings.results
        place = findings.place(result.system) if ours else None
        _draw_point(axes, result, x, place)
    front = _front([(x, result) for x, result in priced if not result.metrics["hub_note"]])
    if len(front) > 1:
        axes.plot(*zip(*front, strict=True), color=GREY, linewidth=1, zorder=0)
    axes.set_xlabel(label)
    axes.set_ylabel("CER, %")
    if priced:
        logarithmic(axes, "x", "y")
        axes.margins(x=0.3, y=0.15)
        # From the right: names go to the right of their points if they can, so crowds keep order.
        named = sorted(priced, key=lambda pair: pair[0], reverse=True)
        points = [(x, per_cent(r.cer)) for x, r in named]
        _write_names(axes, [r.system for _, r in named], points)


def _draw_point(axes: Axes, result: SystemResult, cost: float, place: int | None) -> None:
    rates = result.metrics["overall"]
    cer, low, high = (per_cent(rates[key]) for key in ("cer", "cer_low", "cer_high"))
    spread = [[max(0.0, cer - low)], [max(0.0, high - cer)]]
    shade, shape = (GREY, "h") if place is None else (colour(place), marker(place))
    fill = "none" if result.metrics["hub_note"] else shade
    axes.errorbar(cost, cer, spread, fmt=shape, color=shade, mfc=fill, capsize=3, markersize=7)


def _front(priced: list[tuple[float, SystemResult]]) -> list[tuple[float, float]]:
    """The points that no cheaper or equally cheap system beats, the cheapest first."""
    front: list[tuple[float, float]] = []
    for cost, result in sorted(priced, key=lambda pair: (pair[0], pair[1].cer)):
        if not front or per_cent(result.cer) < front[-1][1]:
            front.append((cost, per_cent(result.cer)))
    return front


def _write_names(axes: Axes, names: list[str], points: list[tuple[float, float]]) -> None:
    """Write each name where it covers nothing and is nearest to its own point, if there is room."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # settles the axes, so that points on the paper are final
    scale = 72 / figure.dpi
    centres = [scale * axes.transData.transform(point) for point in points]
    frame = axes.get_window_extent()
    inside = Bbox([[frame.x0 * scale, frame.y0 * scale], [frame.x1 * scale, frame.y1 * scale]])
    taken = [Bbox([[x - _POINT, y - _POINT], [x + _POINT, y + _POINT]]) for x, y in centres]
    for name, point, (x, y) in zip(names, points, centres, strict=True):
        boxes = [_box(name, x + dx, y + dy, dx) for dx, dy in _PLACES]
        faults = [
            _covered(box, taken)
            + (_gap(box, x, y) > min(_gap(box, *centre) for centre in centres))
            + 1e4 * (not _within(box, inside))
            for box in boxes
        ]
        best = faults.index(min(faults))
        taken.append(boxes[best])
        axes.annotate(name, point, xytext=_PLACES[best], textcoords="offset points",
                      ha=_side(_PLACES[best][0]), va="center", fontsize=FONT_SIZE)  # fmt: skip


def _side(dx: float) -> str:
    return "left" if dx > 0 else "right" if dx < 0 else "center"


def _box(name: str, x: float, y: float, dx: float) -> Bbox:
    """Where a name would stand whose anchor is (x, y), in points."""
    width, height = 0.58 * FONT_SIZE * len(name), 1.2 * FONT_SIZE
    left = {"left": x, "right": x - width, "center": x - width / 2}[_side(dx)]
    return Bbox([[left, y - height / 2], [left + width, y + height / 2]])


def _gap(box: Bbox, x: float, y: float) -> float:
    """Points from a box to (x, y)."""
    across, along = max(box.x0 - x, x - box.x1, 0.0), max(box.y0 - y, y - box.y1, 0.0)
    return float(np.hypot(across, along))


def _covered(box: Bbox, taken: list[Bbox]) -> float:
    """Square points of `box` that something stands on already."""
    shared = [Bbox.intersection(box, other) for other in taken]
    return float(sum(part.width * part.height for part in shared if part is not None))


def _within(box: Bbox, frame: Bbox) -> bool:
    return bool(
        box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
    )
