"""Line charts: learning curves, CER by length, reject curves, reliability."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from netchu.report.gather import Findings, SystemResult
from netchu.report.svg import GREY, colour, log_percent, logarithmic, marker

MAX_CER = 120
"""Upper limit of a linear CER axis, in percent."""


def draw_learning(axes: Axes, findings: Findings, column: str, label: str, factor: float) -> None:
    """Draw a column of the systems' histories over the fraction of their training, in percent."""
    for result in findings.results:
        shares, values = learning_curve(result, column)
        if values:
            shade = colour(findings.index(result.system))
            heights = [factor * value for value in values]
            axes.plot(shares, heights, ".-", color=shade, label=result.system)
    axes.set_ylim(bottom=0)
    if column == "val_cer":
        axes.set_ylim(top=min(axes.get_ylim()[1], MAX_CER))
    axes.set_xlabel("share of its training, %")
    axes.set_ylabel(label)
    _legend(axes)


def learning_curve(result: SystemResult, column: str) -> tuple[list[float], list[float]]:
    """Return the percent of the training and a column of the history, where it is known."""
    if column not in result.history:
        return [], []
    values = result.history[column].tolist()
    known = [(epoch, value) for epoch, value in enumerate(values, start=1) if value == value]
    return [100 * epoch / len(values) for epoch, _ in known], [value for _, value in known]


def draw_lengths(axes: Axes, findings: Findings) -> None:
    """Draw CER by the length of the line, with its 95 % interval."""
    bins = sorted({(b["from"], b["to"]) for r in findings.results for b in r.table("by_length")},
                  key=lambda ends: ends[0])  # fmt: skip
    for result in findings.results:
        rows = result.table("by_length")
        positions = [bins.index((row["from"], row["to"])) for row in rows]
        cer, low, high = ([log_percent(row[key]) for row in rows]
                          for key in ("cer", "cer_low", "cer_high"))  # fmt: skip
        _draw_marked(axes, findings, result.system, positions, cer)
        shade = colour(findings.index(result.system))
        axes.fill_between(positions, low, high, color=shade, alpha=0.13, linewidth=0)
    axes.set_xticks(range(len(bins)), [length_name(*ends) for ends in bins])
    axes.set_xlabel("characters of the line")
    axes.set_ylabel("CER, %")
    if axes.lines:
        logarithmic(axes, "y")
    _legend(axes)


def length_name(first: int, last: int | None) -> str:
    """Format a range of lengths: '11–20', or '81+' without an end."""
    return f"{first}+" if last is None else f"{first}–{last}"


def draw_reject_curves(axes: Axes, findings: Findings) -> None:
    """Draw the CER of the most confident lines over the percentage of lines that are kept."""
    for result in findings.results:
        curve = result.table("reject_curve")
        kept = [point["kept"] for point in curve]
        _draw_marked(axes, findings, result.system, kept, [log_percent(p["cer"]) for p in curve])
    axes.set_xlabel("lines kept, the surest, %")
    axes.set_ylabel("CER of the kept lines, %")
    if axes.lines:
        logarithmic(axes, "y")
        axes.invert_xaxis()
    _legend(axes)


def draw_reliability(axes: Axes, findings: Findings) -> None:
    """Draw the reliability diagram: accuracy over confidence, best on the diagonal."""
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle="--", zorder=0)
    for result in findings.results:
        bins = result.table("reliability")
        confidences = [100 * group["confidence"] for group in bins]
        _draw_marked(
            axes, findings, result.system, confidences, [100 * group["right"] for group in bins]
        )
    axes.set_xlabel("confidence of the line, %")
    axes.set_ylabel("lines that are right, %")
    _legend(axes)


def _draw_marked(axes: Axes, findings: Findings, system: str, xs: list[Any], ys: list[Any]) -> None:
    if xs:
        index = findings.index(system)
        axes.plot(xs, ys, color=colour(index), marker=marker(index), label=system)


def _legend(axes: Axes) -> None:
    """Put the systems' names below the chart, where they cover no curve."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        axes.figure.legend(handles, names, ncols=3, loc="outside lower center")
