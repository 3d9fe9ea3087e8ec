"""Stage report: leaderboard, HTML page and picture of a profile, in reports/<profile>."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params


def main() -> None:
    """Build the report and record it in MLflow."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with one_line_errors():
        params = load_params()
        from netchu.report.build import build_report
        from netchu.tracking import store

        folder = params.report_folder
        build_report(params, params.models, folder)
        store.track_report(params, folder)


if __name__ == "__main__":
    main()
