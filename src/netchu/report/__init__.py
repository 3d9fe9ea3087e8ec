"""The report of a profile: figures for CI, a leaderboard, one self-contained page, one picture."""

from __future__ import annotations

from pathlib import Path

from netchu.core.params import Params
from netchu.evaluation.metrics_io import write_metrics
from netchu.report.charts import charts
from netchu.report.gather import gather
from netchu.report.html_page import render
from netchu.report.leaderboard import as_json, markdown
from netchu.report.overview import write_overview
from netchu.report.plots import write_plots
from netchu.report.reproducible import figures, speeds


def build_report(params: Params, evaluations: Path, out: Path) -> None:
    """Write the report of what lies in `evaluations`/<system> into `out`.

    metrics.json holds what every run of the same work agrees on; speed.json what differs;
    leaderboard.md, leaderboard.json, report.html (no network needed) and overview.png show both;
    plots/ has the figures of the charts. local.html is the page with the lines of every dataset,
    and stays with those who hold the data.

    Raises:
        NetchuError: a file that is there is broken.
    """
    findings = gather(params, evaluations)
    drawn = charts(findings)
    pages = {
        "report.html": render(findings, drawn),
        "local.html": render(findings.showing_all(), drawn),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_metrics(figures(findings), out / "metrics.json")
    write_metrics(speeds(findings), out / "speed.json")
    write_metrics(as_json(findings), out / "leaderboard.json")
    (out / "leaderboard.md").write_text(markdown(findings), encoding="utf-8")
    for name, page in pages.items():
        (out / name).write_text(page, encoding="utf-8")
    write_plots(findings, out / "plots")
    write_overview(findings, out / "overview.png")
