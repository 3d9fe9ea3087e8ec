"""Stage selection@raw and selection@lines: which data each other stage reads, as hashes."""

from __future__ import annotations

from netchu.core.params import Params
from netchu.core.paths import FINGERPRINTS
from netchu.core.stage_script import run_stage_for
from netchu.pipeline.selection import select_lines, select_raw, write_selection

SELECT = {"raw": select_raw, "lines": select_lines}


def select(params: Params, data: str) -> None:
    """Write the hashes of fetched sources, or of line tables."""
    write_selection(SELECT[data](params), FINGERPRINTS / params.profile / data)


if __name__ == "__main__":
    run_stage_for(__doc__, "data", "fetched sources, or line tables", select, choices=SELECT)
