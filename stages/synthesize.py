"""Stage synthesize@KIND: generate one kind of lines into data/<profile>/synthetic/<kind>."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params
from netchu.synthesis.shards import synthesize_table


def main() -> None:
    """Read the flags and generate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", help="a name under `synthetic` in params.yaml")
    arguments = parser.parse_args()
    with one_line_errors():
        synthesize_table(load_params(), arguments.kind)


if __name__ == "__main__":
    main()
