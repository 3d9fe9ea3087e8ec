"""Stage preprocess@DATASET: write a line table to data/<profile>/lines/<dataset>."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params
from netchu.data.preprocessing import preprocess


def main() -> None:
    """Read the flags and preprocess."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", help="a name under `datasets` in params.yaml")
    arguments = parser.parse_args()
    with one_line_errors():
        params = load_params()
        wanted = params.dataset(arguments.dataset)
        preprocess(wanted, arguments.dataset, params.seed, params.lines / arguments.dataset)


if __name__ == "__main__":
    main()
