"""The self-contained HTML page, rendered from `report.html.j2`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from netchu.core import formatting
from netchu.data.line_table import Skipped
from netchu.report import sections, svg
from netchu.report.charts import Chart
from netchu.report.confusions import confusions
from netchu.report.gallery import build_gallery
from netchu.report.gather import Findings, count_reasons
from netchu.report.leaderboard import SIZE_REMARK, headings, rows, tested_on

MAX_LISTED = 50
"""Skipped lines of a group that are listed one by one."""


@dataclass(frozen=True)
class SkippedGroup:
    """Skipped lines of a dataset or a training: counts by reason, and lines that may be listed."""

    name: str
    total: int
    reasons: dict[str, int]
    listed: list[Skipped]


def render(findings: Findings, charts: dict[str, list[Chart]]) -> str:
    """Return the page as HTML, with `charts` by section."""
    environment = Environment(
        loader=PackageLoader("netchu.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": formatting.percent}
    return environment.get_template("report.html.j2").render(
        style=_asset("report.css"),
        script=_asset("report.js"),
        findings=findings,
        headings=headings(),
        size=SIZE_REMARK,
        rows=rows(findings),
        tested_on=tested_on(findings),
        colours={baseline.system: svg.GREY for baseline in findings.baselines}
        | {system: svg.colour(findings.index(system)) for system in findings.params.systems},
        bars=_bars(findings),
        charts=charts,
        sections=sections,
        confusions=confusions(findings),
        gallery=build_gallery(findings),
        skipped=_skipped(findings),
        machines=sorted({r.speed["machine"] for r in findings.results if "machine" in r.speed}),
    )


def _asset(name: str) -> Markup:
    """Return a file of this package that is inserted into the page unchanged."""
    return Markup((files("netchu.report") / name).read_text(encoding="utf-8"))


def _bars(findings: Findings) -> dict[str, dict[str, float]]:
    """Return CER and its interval by system, in percent of the largest, for the bars."""
    widest = max((r.metrics["overall"]["cer_high"] for r in findings.measured), default=1) or 1
    # A random checkpoint may loop and reach 700 %, which would hide the bars of all others.
    widest = min(widest, 1.0)
    return {
        r.system: {
            key: min(100.0, round(100 * r.metrics["overall"][key] / widest, 2))
            for key in ("cer", "cer_low", "cer_high")
        }
        for r in findings.measured
    }


def _skipped(findings: Findings) -> list[SkippedGroup]:
    tables = [
        _group(f"data: {name}", lines, name in findings.open_datasets)
        for name, lines in findings.skipped.items()
    ]
    systems = [
        _group(f"training of {r.system}", r.skipped, findings.may_list(r.system))
        for r in findings.results
    ]
    return [group for group in tables + systems if group.total]


def _group(name: str, lines: list[Skipped], may_list: bool) -> SkippedGroup:
    listed = lines[:MAX_LISTED] if may_list else []
    return SkippedGroup(name, len(lines), count_reasons(lines), listed)
