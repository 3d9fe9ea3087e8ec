"""Charts as SVG elements in the page's own colour and font; equal data are equal bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping

import matplotlib as mpl
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

COLOURS = ("#2a78d6", "#eb6834", "#1baa78", "#b0568f", "#c9930a", "#6b63d8", "#4b96a8", "#8a8f98")
"""One for each system, in the order of params.yaml, legible on a light and a dark page."""

MARKERS = "osD^vPX*"
"""A shape for every colour, for people with a colour vision deficiency."""

GREY = "#8a8f98"

MIN_PERCENT = 0.1
"""Stands for 0 on a logarithmic axis."""

_TEXT_COLOUR = "#0a0b0c"  # replaced by the page's text colour
STYLE: Mapping[str, object] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _TEXT_COLOUR,
    "axes.labelcolor": _TEXT_COLOUR,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "lines.markersize": 5,
    "text.color": _TEXT_COLOUR,
    "xtick.color": _TEXT_COLOUR,
    "ytick.color": _TEXT_COLOUR,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.borderpad": 0.1,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
}


def colour(index: int) -> str:
    """Return the colour of a system, given its index in params.yaml."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Return the marker of a system, given its index in params.yaml."""
    return MARKERS[index % len(MARKERS)]


def svg(draw: Callable[[Axes], None], about: str, size: tuple[float, float] = (4.3, 3.2)) -> str:
    """Draw on new axes and return an <svg> element.

    The element has no date and no font of its own, and its ids are unique in the page.

    Args:
        draw: draws on the axes.
        about: description for screen readers.
        size: width and height in inches.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": about}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_TEXT_COLOUR, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # ids such as 'axes_1' are the same in every chart
    text = re.sub(r"font: (?:\w+ )*?([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*; ?", "", text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(about)}"', 1)


def logarithmic(axes: Axes, *names: str) -> None:
    """Make the axes ('x', 'y') logarithmic, with ticks at 1 and 3 written as plain numbers."""
    for name in names:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def log_percent(ratio: float) -> float:
    """Return a ratio in percent that a logarithmic axis can show."""
    return max(MIN_PERCENT, 100 * ratio)
