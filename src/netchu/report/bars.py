"""What errors are made of, and how far CER spreads over writers and sources."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes

from netchu.report.gather import Findings
from netchu.report.svg import GREY, colour, logarithmic, marker, per_cent

CLASSES: Mapping[str, tuple[str, str]] = {
    "base_errors": ("letter", "#2a78d6"),
    "mark_errors": ("vowel mark, đ", "#1baa78"),
    "tone_errors": ("tone", "#eb6834"),
    "case_errors": ("case", "#6b63d8"),
    "digit_errors": ("digit", "#c9930a"),
    "space_errors": ("space", "#8a8f98"),
    "punctuation_errors": ("punctuation", "#b0568f"),
}
"""The classes of errors, which add up to CER -> their names and colours."""

WAYS: Mapping[str, tuple[str, str]] = {
    "substituted": ("read as another", "#2a78d6"),
    "missing": ("missing", "#8a8f98"),
    "extra": ("too much", "#c9930a"),
}
"""Another cut of the same errors."""

HEIGHT_OF_BAR = 0.34
"""Inches of a chart that each system adds."""


def parts(rates: Mapping[str, float], kinds: Mapping[str, tuple[str, str]]) -> list[float]:
    """The share (0 … 1) of each kind in the errors; zeros where nothing is wrong."""
    known = dict(rates) | {"substituted": rates["cer"] - rates["missing"] - rates["extra"]}
    values = [max(0.0, known[key]) for key in kinds]
    return [value / sum(values) if sum(values) else 0.0 for value in values]


def draw_parts(axes: Axes, findings: Findings, kinds: Mapping[str, tuple[str, str]]) -> None:
    """One bar a system, all of equal length: the share of each kind in its errors."""
    names = [result.system for result in findings.results]
    table = [parts(result.metrics["overall"], kinds) for result in findings.results]
    lefts = [0.0] * len(names)
    for number, (label, shade) in enumerate(kinds.values()):
        widths = [100 * row[number] for row in table]
        axes.barh(names, widths, left=lefts, color=shade, label=label, height=0.66)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of its errors, %")
    axes.grid(visible=False, axis="y")
    if names:
        axes.figure.legend(*axes.get_legend_handles_labels(), ncols=4, loc="outside lower center")


def draw_writers(axes: Axes, findings: Findings) -> None:
    """One dot a writer, one row a system; the stroke is the writer in the middle."""
    read = [r for r in findings.results if r.table("by_writer")]
    for row, result in enumerate(read):
        values = sorted(per_cent(w["cer"]) for w in result.table("by_writer"))
        # Dots go up and down in turn, so that writers of about equal CER stay apart.
        heights = [row + 0.3 * ((place * 0.618) % 1 - 0.5) for place in range(len(values))]
        shade = colour(findings.place(result.system))
        axes.scatter(values, heights, s=16, color=shade, alpha=0.55, linewidths=0)
        axes.vlines(values[len(values) // 2], row - 0.33, row + 0.33, color=shade, linewidth=2)
    _rows(axes, [result.system for result in read], "CER of a writer, %")


def draw_sources(axes: Axes, findings: Findings) -> None:
    """CER on the lines of each source, a row each, with its 95 % interval."""
    sources = sorted({s["source"] for r in findings.results for s in r.table("by_source")})
    step = 0.7 / max(1, len(findings.results))
    for number, result in enumerate(findings.results):
        place = findings.place(result.system)
        for entry in result.table("by_source"):
            cer, low, high = (per_cent(entry[key]) for key in ("cer", "cer_low", "cer_high"))
            height = sources.index(entry["source"]) - 0.35 + step * (number + 0.5)
            axes.plot([low, high], [height, height], color=colour(place), linewidth=1.5)
            axes.plot(cer, height, marker(place), color=colour(place), label=result.system)
    _rows(axes, sources, "CER, %")
    labels = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if labels:
        axes.figure.legend(labels.values(), labels.keys(), ncols=3, loc="outside lower center")


def _rows(axes: Axes, names: list[str], label: str) -> None:
    """Name the rows, the first at the top, with a faint line between them."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    for edge in range(1, len(names)):
        axes.axhline(edge - 0.5, color=GREY, alpha=0.25, linewidth=0.8)
    if names:
        logarithmic(axes, "x")
