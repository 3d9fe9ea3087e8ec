"""The leaderboard and the charts of CER against size and latency as one PNG, for the README."""

from __future__ import annotations

import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netchu.core.files import new_file
from netchu.evaluation.metrics.registry import find_metric
from netchu.report.gather import Findings
from netchu.report.leaderboard import PUBLISHED, headings, rows, tested_on
from netchu.report.svg import STYLE
from netchu.report.tradeoffs import draw_tradeoff, median_latency, weights_size

LEFT_OUT = (find_metric("cer_folded").title, PUBLISHED)
"""Headings of columns for which the picture has no room."""


def write_overview(findings: Findings, path: Path) -> None:
    """Write the picture, without a date, so that equal content is equal bytes."""
    table = rows(findings)
    notes = [f"{row.system}: {row.note}" for row in table if row.note]
    above, below = 0.34 * (len(table) + 2), 3.6  # inches of the table and of the charts
    with mpl.rc_context({**STYLE, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(12, above + below), layout="constrained", facecolor="white")
        grid = figure.add_gridspec(2, 2, height_ratios=(above, below))
        _draw_table(figure.add_subplot(grid[0, :]), findings)
        left, right = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
        draw_tradeoff(left, findings, "size, MB", weights_size)
        draw_tradeoff(right, findings, "one line on one core, ms", median_latency)
        for number, note in enumerate(notes):
            figure.text(0.01, -0.03 - 0.03 * number, f"* {note}", fontsize=9)
        with new_file(path) as partial:
            figure.savefig(
                partial, format="png", bbox_inches="tight", dpi=110, metadata={"Software": None}
            )


def _draw_table(axes: Axes, findings: Findings) -> None:
    axes.axis("off")
    title = f"netchu, profile {findings.params.profile}: {tested_on(findings)}"
    axes.set_title(textwrap.fill(title, 120), loc="left", fontsize=11)
    columns = [number for number, name in enumerate(headings()) if name not in LEFT_OUT]
    cells = [[row.texts[column] for column in columns] for row in rows(findings)]
    widths = [3.1] + [1.0] * (len(columns) - 1)
    shares = [width / sum(widths) for width in widths]
    heads = [headings()[column] for column in columns]
    table = axes.table(
        cells, colLabels=heads, colWidths=shares, loc="upper left", edges="horizontal"
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
