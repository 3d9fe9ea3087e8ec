"""The charts of the page by section."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from netchu.core.formatting import percent
from netchu.report import bars, curves, tradeoffs
from netchu.report.gather import Findings
from netchu.report.svg import svg

WIDTH, HEIGHT = 4.3, 3.2
"""Inches of a chart with a font of 10 points; the page scales charts to its columns."""


@dataclass(frozen=True)
class Chart:
    """A chart as an <svg> element, with its title."""

    title: str
    picture: Markup


def charts(findings: Findings) -> dict[str, list[Chart]]:
    """Return the charts of each section of the page."""
    systems = ", ".join(f"{r.system} {percent(r.cer)}" for r in findings.results)
    rows = 1.2 + bars.BAR_HEIGHT * len(findings.results)

    def chart(
        title: str, draw: Callable[..., None], *more: object, height: float = HEIGHT
    ) -> Chart:
        def on(axes: Axes) -> None:
            draw(axes, findings, *more)

        return Chart(title, Markup(svg(on, f"{title}. CER: {systems}", (WIDTH, height))))

    return {
        "tradeoffs": [
            chart("CER against size", tradeoffs.draw_tradeoff, "size, MB",
                  tradeoffs.weights_size),
            chart("CER against time", tradeoffs.draw_tradeoff, "one line on one core, median ms",
                  tradeoffs.median_latency),
        ],
        "learning": [
            chart("Validation CER while training", curves.draw_learning, "val_cer",
                  "validation CER, %", 100),
            chart("Loss while training", curves.draw_learning, "train_loss", "training loss", 1),
        ],
        "errors": [
            chart("What is wrong", bars.draw_error_parts, bars.error_parts("class"),
                  height=rows),
            chart("In which way", bars.draw_error_parts, bars.error_parts("operation"),
                  height=rows),
        ],
        "spread": _spread(findings, chart),
        "confidence": [
            chart("CER of the surest lines", curves.draw_reject_curves),
            chart("Sure and right", curves.draw_reliability),
        ],
    }  # fmt: skip


def _spread(findings: Findings, chart: Callable[..., Chart]) -> list[Chart]:
    """Return the charts of CER by length, and by writer and source if there are several."""
    drawn = [chart("CER by length of the line", curves.draw_lengths)]
    writers = [r for r in findings.results if len(r.table("by_writer")) > 1]
    sources = {s["source"] for r in findings.results for s in r.table("by_source")}
    if writers:
        height = 1 + bars.BAR_HEIGHT * len(writers)
        drawn.append(chart("CER of every writer", bars.draw_writers, height=height))
    if len(sources) > 1:
        height = 1.2 + 0.4 * bars.BAR_HEIGHT * len(sources) * len(findings.results)
        drawn.append(chart("CER by source", bars.draw_sources, height=height))
    return drawn
