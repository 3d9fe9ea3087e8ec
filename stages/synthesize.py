"""Stage synthesize@NAME: write a synthetic dataset to data/<profile>/synthetic/<name>."""

from __future__ import annotations

from netchu.core.stage_script import run_stage_for
from netchu.synthesis.shards import synthesize_table

if __name__ == "__main__":
    run_stage_for(
        __doc__, "name", "a synthetic dataset under `synthetic` in params.yaml", synthesize_table
    )
