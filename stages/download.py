"""Stage download@SOURCE: fetch a data source into data/<profile>/raw/<source>."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params
from netchu.data.fetch import SOURCES, fetch


def main() -> None:
    """Read the flags and fetch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help=f"one of {', '.join(SOURCES)}")
    arguments = parser.parse_args()
    with one_line_errors():
        params = load_params()
        folder = params.raw / arguments.source
        fetch(arguments.source, folder, params.sources.get(arguments.source, {}))


if __name__ == "__main__":
    main()
