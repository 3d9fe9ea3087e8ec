"""Stage export@SYSTEM: calibrate a fine-tuned system and export it to read without torch."""

from __future__ import annotations

from netchu.core.params import Params
from netchu.core.runtime import set_compute_environment
from netchu.core.stage_script import run_stage_for


def export(params: Params, system: str) -> None:
    """Export and time one system."""
    set_compute_environment(params.compute)
    from netchu.release.system_export import export_system, time_export

    home = params.models / system
    export_system(params, system, home)
    time_export(params, home)


if __name__ == "__main__":
    run_stage_for(__doc__, "system", "a system of `exports` in params.yaml", export)
