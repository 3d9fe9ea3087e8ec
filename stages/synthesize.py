"""Stage synthesize@NAME: write a synthetic dataset to data/<profile>/synthetic/<name>."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params
from netchu.synthesis.shards import synthesize_table


def main() -> None:
    """Parse the arguments and run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="a synthetic dataset under `synthetic` in params.yaml")
    arguments = parser.parse_args()
    with one_line_errors():
        synthesize_table(load_params(), arguments.name)


if __name__ == "__main__":
    main()
