"""Charts of what errors consist of, and of how CER varies over writers and sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

from matplotlib.axes import Axes

from netchu.evaluation.metrics.registry import breakdown_metrics
from netchu.report.gather import Findings
from netchu.report.svg import GREY, colour, log_percent, logarithmic, marker

BAR_HEIGHT = 0.34
"""Inches that each system adds to the height of a bar chart."""

_CLASS_COLOURS = ("#2a78d6", "#1baa78", "#eb6834", "#6b63d8", "#c9930a", "#8a8f98", "#b0568f")
_OPERATION_COLOURS = ("#2a78d6", "#8a8f98", "#c9930a")


@dataclass(frozen=True)
class ErrorPart:
    """A part of the character errors: key in metrics.json, label and colour in charts."""

    key: str
    label: str
    colour: str


def error_parts(breakdown: Literal["class", "operation"]) -> list[ErrorPart]:
    """Return the parts that the character errors are split into; they add up to the CER."""
    parts = [(metric.name, metric.title) for metric in breakdown_metrics(breakdown)]
    if breakdown == "operation":
        parts.insert(0, ("substituted", "read as another"))
    colours = _CLASS_COLOURS if breakdown == "class" else _OPERATION_COLOURS
    return [ErrorPart(*part, shade) for part, shade in zip(parts, cycle(colours), strict=False)]


def error_shares(overall: Mapping[str, float], parts: Sequence[ErrorPart]) -> list[float]:
    """Return the share (0 … 1) of each part in a system's errors; zeros if it has no errors."""
    substituted = overall["cer"] - overall["missing"] - overall["extra"]
    rates = dict(overall) | {"substituted": substituted}
    values = [max(0.0, rates[part.key]) for part in parts]
    return [value / sum(values) if sum(values) else 0.0 for value in values]


def draw_error_parts(axes: Axes, findings: Findings, parts: Sequence[ErrorPart]) -> None:
    """Draw one bar a system, all of equal length, with the share of each part in its errors."""
    names = [result.system for result in findings.results]
    shares = [error_shares(result.metrics["overall"], parts) for result in findings.results]
    lefts = [0.0] * len(names)
    for number, part in enumerate(parts):
        widths = [100 * row[number] for row in shares]
        axes.barh(names, widths, left=lefts, color=part.colour, label=part.label, height=0.66)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of its errors, %")
    axes.grid(visible=False, axis="y")
    if names:
        axes.figure.legend(*axes.get_legend_handles_labels(), ncols=4, loc="outside lower center")


def draw_writers(axes: Axes, findings: Findings) -> None:
    """Draw one row a system, with a dot for each writer and a line at the median writer."""
    results = [r for r in findings.results if r.table("by_writer")]
    for row, result in enumerate(results):
        values = sorted(log_percent(w["cer"]) for w in result.table("by_writer"))
        # The golden ratio spreads dots of about equal CER over the row.
        heights = [row + 0.3 * ((number * 0.618) % 1 - 0.5) for number in range(len(values))]
        shade = colour(findings.index(result.system))
        axes.scatter(values, heights, s=16, color=shade, alpha=0.55, linewidths=0)
        axes.vlines(values[len(values) // 2], row - 0.33, row + 0.33, color=shade, linewidth=2)
    _label_rows(axes, [result.system for result in results], "CER of a writer, %")


def draw_sources(axes: Axes, findings: Findings) -> None:
    """Draw one row a source, with the CER of each system and its 95 % interval."""
    sources = sorted({s["source"] for r in findings.results for s in r.table("by_source")})
    step = 0.7 / max(1, len(findings.results))
    for number, result in enumerate(findings.results):
        index = findings.index(result.system)
        for entry in result.table("by_source"):
            cer, low, high = (log_percent(entry[key]) for key in ("cer", "cer_low", "cer_high"))
            height = sources.index(entry["source"]) - 0.35 + step * (number + 0.5)
            axes.plot([low, high], [height, height], color=colour(index), linewidth=1.5)
            axes.plot(cer, height, marker(index), color=colour(index), label=result.system)
    _label_rows(axes, sources, "CER, %")
    labels = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if labels:
        axes.figure.legend(labels.values(), labels.keys(), ncols=3, loc="outside lower center")


def _label_rows(axes: Axes, names: list[str], label: str) -> None:
    """Label the rows, the first at the top, and draw a faint line between them."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    for edge in range(1, len(names)):
        axes.axhline(edge - 0.5, color=GREY, alpha=0.25, linewidth=0.8)
    if names:
        logarithmic(axes, "x")
