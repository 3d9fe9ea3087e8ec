"""Charts as SVG text for the page, in the page's own ink, and one picture for the README."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from netchu.report.gather import Findings, SystemResult
from netchu.report.leaderboard import HEADINGS, rows, tested_on

COLOURS = ("#2a78d6", "#eb6834", "#1baa78", "#b0568f", "#c9930a", "#6b63d8")
"""One for each system, in the order of params.yaml, legible on light and on dark paper."""

KINDS = (
    ("base_errors", "other letter", "#2a78d6"),
    ("mark_errors", "vowel mark (â ă ơ đ)", "#1baa78"),
    ("tone_errors", "tone", "#eb6834"),
    ("missing", "missing", "#8a8f98"),
    ("extra", "extra", "#c9930a"),
)

_INK = "#0a0b0c"  # replaced by the page's text colour
_STYLE = {
    "svg.hashsalt": "netchu",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#8a8f98",
    "grid.alpha": 0.25,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


def colour_of(findings: Findings, system: str) -> str:
    """The system's colour, the same in every chart."""
    return COLOURS[list(findings.params.systems).index(system) % len(COLOURS)]


def svg(draw: Callable[[Axes], None], title: str, size: tuple[float, float] = (4.6, 3.5)) -> str:
    """Draw on fresh axes; return an <svg> element without date, in the colour of the text."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue().replace(_INK, "currentColor")
    named = f'<svg role="img" aria-label="{title}"'
    return text[text.index("<svg") :].replace("<svg", named, 1)


def draw_pareto(
    axes: Axes, findings: Findings, label: str, value: Callable[[SystemResult], float | None]
) -> None:
    """CER against a cost, both logarithmic; the line joins systems nothing beats in both.

    Hollow points stand for systems on a random checkpoint, which say nothing of either.
    """
    front: list[tuple[float, float]] = []
    best = float("inf")
    for result in sorted(findings.results, key=lambda r: (value(r) or 0.0, r.cer)):
        if (cost := value(result)) is None:
            continue
        # Neighbours in cost often lie close: their names go above and below in turn.
        above = len(axes.containers) % 2 == 0
        _draw_point(axes, result, cost, colour_of(findings, result.system), above)
        if result.cer < best and not result.metrics["hub_note"]:
            best = result.cer
            front.append((cost, max(0.1, 100 * result.cer)))
    if len(front) > 1:
        axes.plot(*zip(*front, strict=True), color="#8a8f98", linewidth=1, zorder=0)
    if axes.containers:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.3, y=0.12)
    axes.set_xlabel(label)
    axes.set_ylabel("CER, %")


def _draw_point(axes: Axes, result: SystemResult, cost: float, colour: str, above: bool) -> None:
    rates = result.metrics["overall"]
    # A logarithmic axis has no zero: a faultless system stands at its lower edge.
    cer, low, high = (max(0.1, 100 * rates[key]) for key in ("cer", "cer_low", "cer_high"))
    spread = [[max(0.0, cer - low)], [max(0.0, high - cer)]]
    fill = "none" if result.metrics["hub_note"] else colour
    axes.errorbar(cost, cer, spread, fmt="o", color=colour, mfc=fill, capsize=3, markersize=7)
    place = (7, 6) if above else (7, -13)
    axes.annotate(
        result.system, (cost, cer), xytext=place, textcoords="offset points", color=colour
    )


def draw_curve(axes: Axes, findings: Findings, column: str, label: str, factor: float) -> None:
    """A column of the systems' histories over the share of their training."""
    for result in findings.results:
        if column not in result.history:
            continue
        values = result.history[column]
        known = values.notna()
        share = (result.history.index.to_series() + 1)[known] / len(values)
        colour = colour_of(findings, result.system)
        axes.plot(100 * share, factor * values[known], color=colour, label=result.system)
    axes.set_ylim(bottom=0)
    if column == "val_cer":
        axes.set_ylim(top=min(axes.get_ylim()[1], 120))
    axes.set_xlabel("share of its training, %")
    axes.set_ylabel(label)
    if axes.lines:
        axes.legend(fontsize=8)


def draw_kinds(axes: Axes, findings: Findings) -> None:
    """What the errors are: one bar a system, per 100 reference characters."""
    names = [result.system for result in reversed(findings.results)]
    lefts = [0.0] * len(names)
    for key, label, colour in KINDS:
        widths = [100 * r.metrics["overall"][key] for r in reversed(findings.results)]
        axes.barh(names, widths, left=lefts, color=colour, label=label)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    axes.set_xlabel("errors per 100 characters")
    axes.grid(visible=False, axis="y")
    if names:
        axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.45, -0.18))


def write_overview(findings: Findings, path: Path) -> None:
    """The leaderboard and the two trade-offs as one PNG, for the README."""
    notes = [f"{row.system}: {note}" for row in rows(findings) for note in row.notes]
    with mpl.rc_context({**_STYLE, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(12, 6.4), layout="constrained", facecolor="white")
        grid = figure.add_gridspec(2, 2, height_ratios=(0.9, 1.1))
        _draw_table(figure.add_subplot(grid[0, :]), findings)
        left, right = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
        draw_pareto(left, findings, "size, MB", lambda r: float(r.metrics["size_mb"]))
        draw_pareto(right, findings, "one line on one core, ms", latency)
        for number, note in enumerate(notes):
            figure.text(0.01, -0.03 - 0.03 * number, f"* {note}", fontsize=9)
        figure.savefig(path, bbox_inches="tight", dpi=110, metadata={"Software": None})


def _draw_table(axes: Axes, findings: Findings) -> None:
    axes.axis("off")
    axes.set_title(
        f"netchu, profile {findings.params.profile}: {tested_on(findings)}", loc="left", fontsize=11
    )
    cells = [(row.starred, *row.cells[1:]) for row in rows(findings)]
    widths = [1.5] + [1.0] * (len(HEADINGS) - 1)
    shares = [width / sum(widths) for width in widths]
    table = axes.table(
        cells, colLabels=HEADINGS, colWidths=shares, loc="upper left", edges="horizontal"
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.55)
    for (row, column), cell in table.get_celld().items():
        cell.set_edgecolor("#d5d8dd")
        if column == 0:
            cell.set_text_props(ha="left")
        if row == 0 or column == 0:
            cell.get_text().set_fontweight("bold")


def latency(result: SystemResult) -> float | None:
    """Median milliseconds of a line; None where it was not measured."""
    return result.speed.get("latency_p50_ms")
