"""Charts of CER against a cost, with the names of the systems beside their points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from netchu.report.gather import Findings, SystemResult
from netchu.report.svg import GREY, colour, log_percent, logarithmic, marker

Cost = Callable[[SystemResult], float | None]

FONT_SIZE = 9

_POINT = 7
"""Half the side, in points, of the square around a system's point that names leave free."""

_OFFSETS = ((8, 0), (-8, 0), (0, 11), (0, -11), (8, 11), (8, -11), (-8, 11), (-8, -11),
           (8, 22), (8, -22), (-8, 22), (-8, -22))  # fmt: skip
"""Offsets, in points, from a system's point to the nearest end of its name; the first that fits."""


def weights_size(result: SystemResult) -> float | None:
    """Return the size of the weights in megabytes; None if it is unknown."""
    size: float | None = result.metrics["size_mb"]
    return size


def median_latency(result: SystemResult) -> float | None:
    """Return the median milliseconds of a line; None if it was not measured."""
    return result.speed.get("latency_p50_ms")


def draw_tradeoff(axes: Axes, findings: Findings, label: str, cost: Cost) -> None:
    """Draw CER against a cost on logarithmic axes, with a line along the Pareto front.

    Hollow points are systems on a small checkpoint of our own, whose CER says little about the
    published one; grey points are baselines.
    """
    priced = [(x, result) for result in findings.measured if (x := cost(result))]
    for x, result in priced:
        is_system = result in findings.results
        index = findings.index(result.system) if is_system else None
        _draw_point(axes, result, x, index)
    front = _pareto_front([(x, result) for x, result in priced if not result.metrics["hub_note"]])
    if len(front) > 1:
        axes.plot(*zip(*front, strict=True), color=GREY, linewidth=1, zorder=0)
    axes.set_xlabel(label)
    axes.set_ylabel("CER, %")
    if priced:
        logarithmic(axes, "x", "y")
        axes.margins(x=0.3, y=0.15)
        # From right to left: names go to the right of their points if there is room.
        named = sorted(priced, key=lambda pair: pair[0], reverse=True)
        points = [(x, log_percent(r.cer)) for x, r in named]
        _write_names(axes, [r.system for _, r in named], points)


def _draw_point(axes: Axes, result: SystemResult, cost: float, index: int | None) -> None:
    rates = result.metrics["overall"]
    cer, low, high = (log_percent(rates[key]) for key in ("cer", "cer_low", "cer_high"))
    spread = [[max(0.0, cer - low)], [max(0.0, high - cer)]]
    shade, shape = (GREY, "h") if index is None else (colour(index), marker(index))
    fill = "none" if result.metrics["hub_note"] else shade
    axes.errorbar(cost, cer, spread, fmt=shape, color=shade, mfc=fill, capsize=3, markersize=7)


def _pareto_front(priced: list[tuple[float, SystemResult]]) -> list[tuple[float, float]]:
    """Return the points that no system of at most the same cost beats, cheapest first."""
    front: list[tuple[float, float]] = []
    for cost, result in sorted(priced, key=lambda pair: (pair[0], pair[1].cer)):
        if not front or log_percent(result.cer) < front[-1][1]:
            front.append((cost, log_percent(result.cer)))
    return front


def _write_names(axes: Axes, names: list[str], points: list[tuple[float, float]]) -> None:
    """Write each name where it covers nothing and is nearest to its own point, if possible."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # fixes the axes' layout, on which positions depend
    scale = 72 / figure.dpi
    centres = [scale * axes.transData.transform(point) for point in points]
    frame = axes.get_window_extent()
    inside = Bbox([[frame.x0 * scale, frame.y0 * scale], [frame.x1 * scale, frame.y1 * scale]])
    taken = [Bbox([[x - _POINT, y - _POINT], [x + _POINT, y + _POINT]]) for x, y in centres]
    for name, point, (x, y) in zip(names, points, centres, strict=True):
        boxes = [_box(name, x + dx, y + dy, dx) for dx, dy in _OFFSETS]
        penalties = [
            _covered(box, taken)
            + (_gap(box, x, y) > min(_gap(box, *centre) for centre in centres))
            + 1e4 * (not _within(box, inside))
            for box in boxes
        ]
        best = penalties.index(min(penalties))
        taken.append(boxes[best])
        axes.annotate(name, point, xytext=_OFFSETS[best], textcoords="offset points",
                      ha=_side(_OFFSETS[best][0]), va="center", fontsize=FONT_SIZE)  # fmt: skip


def _side(dx: float) -> str:
    return "left" if dx > 0 else "right" if dx < 0 else "center"


def _box(name: str, x: float, y: float, dx: float) -> Bbox:
    """Return the extent of a name with the anchor (x, y), in points."""
    width, height = 0.58 * FONT_SIZE * len(name), 1.2 * FONT_SIZE
    left = {"left": x, "right": x - width, "center": x - width / 2}[_side(dx)]
    return Bbox([[left, y - height / 2], [left + width, y + height / 2]])


def _gap(box: Bbox, x: float, y: float) -> float:
    """Return the distance in points of a box from (x, y)."""
    across, along = max(box.x0 - x, x - box.x1, 0.0), max(box.y0 - y, y - box.y1, 0.0)
    return float(np.hypot(across, along))


def _covered(box: Bbox, taken: list[Bbox]) -> float:
    """Return the area of `box` that is taken already, in square points."""
    shared = [Bbox.intersection(box, other) for other in taken]
    return float(sum(part.width * part.height for part in shared if part is not None))


def _within(box: Bbox, frame: Bbox) -> bool:
    return bool(
        box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
    )
