"""Stage download@SOURCE: bring one data source into data/<profile>/raw/<source>."""

from __future__ import annotations

import argparse
from pathlib import Path

from netchu.errors import one_line_errors
from netchu.params import load_params
from netchu.sources import MODULES, load


def main() -> None:
    """Read the flags and fetch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help=f"one of {', '.join(MODULES)}")
    arguments = parser.parse_args()
    with one_line_errors():
        source = load(arguments.source)
        source.fetch(Path("data") / load_params().profile / "raw" / arguments.source)


if __name__ == "__main__":
    main()
