"""Stage report: the leaderboard, the page and the picture of a profile, in reports/<profile>."""

from __future__ import annotations

import argparse
from pathlib import Path

from netchu.errors import one_line_errors
from netchu.params import load_params
from netchu.report import build_report


def main() -> None:
    """Read params.yaml and build the report."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with one_line_errors():
        params = load_params()
        models = Path("models") / params.profile
        build_report(params, models, Path("reports") / params.profile)


if __name__ == "__main__":
    main()
