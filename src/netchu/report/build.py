"""Building the report of a profile from the outputs of its stages."""

from __future__ import annotations

from pathlib import Path

from netchu.core.files import new_file
from netchu.core.params import Params
from netchu.evaluation.metrics_io import write_metrics
from netchu.report.charts import charts
from netchu.report.gather import gather_findings
from netchu.report.html_page import render
from netchu.report.leaderboard import as_json, markdown
from netchu.report.overview import write_overview
from netchu.report.plots import write_plots
from netchu.report.reproducible import reproducible_metrics, speed_metrics
from netchu.report.summary import write_summaries


def build_report(params: Params, evaluations: Path, out: Path) -> None:
    """Write the report of a profile.

    `metrics.json` holds the reproducible values and `speed.json` those that differ from run to run.
    `summary/` holds the few values of each system that are DVC's metrics.
    `leaderboard.md`, `leaderboard.json`, `report.html` and `overview.png` show both; `plots/` holds
    the data of the charts. `local.html` is the page with lines of every dataset, which must not be
    published.

    Args:
        params: of the profile.
        evaluations: folder with the outputs of the stages, by system.
        out: folder of the report.

    Raises:
        NetchuError: a file is damaged.
    """
    findings = gather_findings(params, evaluations)
    by_section = charts(findings)
    pages = {
        "leaderboard.md": markdown(findings),
        "report.html": render(findings, by_section),
        "local.html": render(findings.showing_all(), by_section),
    }
    write_metrics(reproducible_metrics(findings), out / "metrics.json")
    write_metrics(speed_metrics(findings), out / "speed.json")
    write_metrics(as_json(findings), out / "leaderboard.json")
    for name, page in pages.items():
        with new_file(out / name) as partial:
            partial.write_text(page, encoding="utf-8")
    write_summaries(findings, out / "summary")
    write_plots(findings, out / "plots")
    write_overview(findings, out / "overview.png")
