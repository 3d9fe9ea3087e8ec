"""Stage export@SYSTEM: calibrate a fine-tuned system and export it to read without torch."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import Params, load_params
from netchu.core.runtime import set_compute_environment


def run(params: Params, system: str) -> None:
    """Export one system; torch is imported here, after the compute environment is set."""
    from netchu.release.system_export import export_system, time_export

    folder = params.models / system
    export_system(params, system, folder)
    time_export(params, folder / "export", folder / "export.speed.json")


def main() -> None:
    """Parse the arguments and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help="a system of params.yaml with a CTC network")
    system = parser.parse_args().system
    with one_line_errors():
        params = load_params()
        params.system(system)
        set_compute_environment(params.compute)
        run(params, system)


if __name__ == "__main__":
    main()
