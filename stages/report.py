"""Stage report: leaderboard, HTML page and picture of a profile, in reports/<profile>."""

from __future__ import annotations

from netchu.core.params import Params
from netchu.core.stage_script import run_stage


def report(params: Params) -> None:
    """Build the report and record it in MLflow."""
    from netchu.report.build import build_report
    from netchu.report.lineage import write_lineage
    from netchu.tracking import store
    from netchu.tracking.runs import report_run

    build_report(params, params.models, params.report_folder)
    write_lineage(params, params.report_folder)
    store.track_run(params, report_run(params))


if __name__ == "__main__":
    run_stage(__doc__, report)
