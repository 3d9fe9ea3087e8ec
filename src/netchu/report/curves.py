"""Lines over something: training, the length of a line, the share that is kept, confidence."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from netchu.report.gather import Findings, SystemResult
from netchu.report.svg import GREY, colour, logarithmic, marker, per_cent

TOP = 120
"""Per cent of CER beyond which a curve leaves a linear chart: it reads nothing there."""


def draw_learning(axes: Axes, findings: Findings, column: str, label: str, factor: float) -> None:
    """A column of the systems' histories over the share of their training."""
    for result in findings.results:
        shares, values = learning(result, column)
        if values:
            shade = colour(findings.place(result.system))
            heights = [factor * value for value in values]
            axes.plot(shares, heights, ".-", color=shade, label=result.system)
    axes.set_ylim(bottom=0)
    if column == "val_cer":
        axes.set_ylim(top=min(axes.get_ylim()[1], TOP))
    axes.set_xlabel("share of its training, %")
    axes.set_ylabel(label)
    _legend(axes)


def learning(result: SystemResult, column: str) -> tuple[list[float], list[float]]:
    """Per cent of the training, and a column of the history there, where it is known."""
    if column not in result.history:
        return [], []
    values = result.history[column].tolist()
    known = [(place, value) for place, value in enumerate(values, start=1) if value == value]
    return [100 * place / len(values) for place, _ in known], [value for _, value in known]


def draw_lengths(axes: Axes, findings: Findings) -> None:
    """CER by the length of the line, with the 95 % interval as a shade."""
    bins = sorted({(b["from"], b["to"]) for r in findings.results for b in r.table("by_length")},
                  key=lambda ends: ends[0])  # fmt: skip
    for result in findings.results:
        rows = result.table("by_length")
        places = [bins.index((row["from"], row["to"])) for row in rows]
        cer, low, high = ([per_cent(row[key]) for row in rows]
                          for key in ("cer", "cer_low", "cer_high"))  # fmt: skip
        _draw_marked(axes, findings, result.system, places, cer)
        shade = colour(findings.place(result.system))
        axes.fill_between(places, low, high, color=shade, alpha=0.13, linewidth=0)
    axes.set_xticks(range(len(bins)), [length_name(*ends) for ends in bins])
    axes.set_xlabel("characters of the line")
    axes.set_ylabel("CER, %")
    if axes.lines:
        logarithmic(axes, "y")
    _legend(axes)


def length_name(first: int, last: int | None) -> str:
    """'11–20', or '81+' where there is no end."""
    return f"{first}+" if last is None else f"{first}–{last}"


def draw_reject_curves(axes: Axes, findings: Findings) -> None:
    """CER of the surest lines alone over the share of the lines that are kept."""
    for result in findings.results:
        curve = result.table("reject_curve")
        kept = [point["kept"] for point in curve]
        _draw_marked(axes, findings, result.system, kept, [per_cent(p["cer"]) for p in curve])
    axes.set_xlabel("lines kept, the surest, %")
    axes.set_ylabel("CER of the kept lines, %")
    if axes.lines:
        logarithmic(axes, "y")
        axes.invert_xaxis()
    _legend(axes)


def draw_reliability(axes: Axes, findings: Findings) -> None:
    """How many lines are right of those about which a system is so sure; best on the diagonal."""
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle="--", zorder=0)
    for result in findings.results:
        bins = result.table("reliability")
        sure = [100 * group["confidence"] for group in bins]
        _draw_marked(axes, findings, result.system, sure, [100 * group["right"] for group in bins])
    axes.set_xlabel("confidence of the line, %")
    axes.set_ylabel("lines that are right, %")
    _legend(axes)


def _draw_marked(axes: Axes, findings: Findings, system: str, xs: list[Any], ys: list[Any]) -> None:
    if xs:
        place = findings.place(system)
        axes.plot(xs, ys, color=colour(place), marker=marker(place), label=system)


def _legend(axes: Axes) -> None:
    """The systems' names below the chart, so that they cover no curve."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        axes.figure.legend(handles, names, ncols=3, loc="outside lower center")
