"""Stage export@SYSTEM: calibrate a finetuned system, and write it to read without torch."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import Params, load_params
from netchu.core.runtime import set_compute_environment


def run(params: Params, system: str) -> None:
    """Export one system; torch loads only after the caps are set."""
    from netchu.release.system_export import export_system, time_export

    home = params.models / system
    export_system(params, system, home)
    time_export(params, home / "export", home / "export.speed.json")


def main() -> None:
    """Read the flags and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help="a system of params.yaml whose network ends in CTC")
    system = parser.parse_args().system
    with one_line_errors():
        params = load_params()
        params.system(system)
        set_compute_environment(params.compute)
        run(params, system)


if __name__ == "__main__":
    main()
