"""Stage pretrain@SYSTEM: train a system from its first weights."""

from __future__ import annotations

import argparse

from netchu.core.errors import RESUMABLE, one_line_errors
from netchu.core.params import Params, load_params
from netchu.core.runtime import set_compute_environment


def run(params: Params, system: str) -> None:
    """Train one system; torch is imported here, after the compute environment is set."""
    from netchu.tracking.store import track_training
    from netchu.training.phases import train_stage

    track_training(params, system, "pretrain", train_stage(params, system, "pretrain"))


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help="a system of params.yaml")
    system = parser.parse_args().system
    with one_line_errors(RESUMABLE):
        params = load_params()
        params.system(system)
        set_compute_environment(params.compute)
        run(params, system)


if __name__ == "__main__":
    main()
