"""The report of a profile: figures for CI, a leaderboard, one self-contained page, one picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from netchu.params import Params
from netchu.report.charts import write_overview
from netchu.report.gather import gather
from netchu.report.leaderboard import figures, markdown, speeds
from netchu.report.page import render


def build_report(params: Params, evaluations: Path, out: Path) -> None:
    """Write the report of what lies in `evaluations`/<system> into `out`.

    metrics.json holds what every run of the same work agrees on; speed.json what differs;
    leaderboard.md, report.html (no network needed) and overview.png show both.
    """
    findings = gather(params, evaluations)
    page = render(findings)
    out.mkdir(parents=True, exist_ok=True)
    _write_json(figures(findings), out / "metrics.json")
    _write_json(speeds(findings), out / "speed.json")
    (out / "leaderboard.md").write_text(markdown(findings), encoding="utf-8")
    (out / "report.html").write_text(page, encoding="utf-8")
    write_overview(findings, out / "overview.png")


def _write_json(content: dict[str, Any], path: Path) -> None:
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
