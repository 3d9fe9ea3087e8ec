"""Stage selection@raw and selection@lines: which data each other stage reads, as hashes."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params
from netchu.core.paths import FINGERPRINTS
from netchu.pipeline.selection import select_lines, select_raw, write_selection

SELECT = {"raw": select_raw, "lines": select_lines}


def main() -> None:
    """Read the flags and write the selection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=SELECT, help="fetched sources, or line tables")
    data = parser.parse_args().data
    with one_line_errors():
        params = load_params()
        write_selection(SELECT[data](params), FINGERPRINTS / params.profile / data)


if __name__ == "__main__":
    main()
