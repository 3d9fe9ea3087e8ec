"""Train a system from its first weights on generated or single-word lines."""

import argparse

from netchu.core import runtime
from netchu.core.errors import RESUMABLE, one_line_errors
from netchu.core.params import load_params


def main() -> None:
    """Flags in, one call, files out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help="a key of systems in params.yaml")
    system = parser.parse_args().system
    with one_line_errors(RESUMABLE):
        params = load_params()
        params.system(system)
        runtime.set_compute_environment(params.compute)
        from netchu.tracking.store import track_training
        from netchu.training.phases import train_stage

        track_training(params, system, "pretrain", train_stage(params, system, "pretrain"))


if __name__ == "__main__":
    main()
