"""Charts as SVG elements: small, in the page's own ink and type, the same bytes every time."""

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
"""One for each system, in the order of params.yaml, legible on light and on dark paper."""

MARKERS = "osD^vPX*"
"""A shape beside every colour, for those who tell colours apart badly."""

GREY = "#8a8f98"

LEAST = 0.1
"""Per cent: a logarithmic axis has no zero, so a faultless system stands at its lower edge."""

_INK = "#0a0b0c"  # replaced by the page's text colour
STYLE: Mapping[str, object] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "lines.markersize": 5,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.borderpad": 0.1,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
}


def colour(place: int) -> str:
    """The colour of the system at `place`."""
    return COLOURS[place % len(COLOURS)]


def marker(place: int) -> str:
    """The shape of the system at `place`."""
    return MARKERS[place % len(MARKERS)]


def svg(draw: Callable[[Axes], None], about: str, size: tuple[float, float] = (4.3, 3.2)) -> str:
    """Draw on fresh axes; return an <svg> element that `about` describes to those who cannot see.

    It holds no date, no type of its own, and no id that another chart of the page could have.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": about}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # 'axes_1' and the like, the same in every chart
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


def per_cent(ratio: float) -> float:
    """A ratio in per cent, as a logarithmic axis can show it."""
    return max(LEAST, 100 * ratio)
