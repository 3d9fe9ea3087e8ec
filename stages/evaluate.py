"""Stage evaluate@SYSTEM: read the test lines with a system; metrics and speed."""

from __future__ import annotations

import argparse
import time

from netchu.core.errors import one_line_errors
from netchu.core.params import Params, load_params
from netchu.core.runtime import set_compute_environment


def run(params: Params, system: str) -> None:
    """Evaluate one system; torch is imported here, after the compute environment is set."""
    from netchu.evaluation import evaluate
    from netchu.tracking.evaluation_run import track_evaluation

    folder = params.models / system
    begin = time.perf_counter()
    evaluate.evaluate_system(params, system, folder / "evaluation")
    evaluate.time_system(params, system, folder / "speed.json")
    track_evaluation(params, system, time.perf_counter() - begin)


def main() -> None:
    """Parse the arguments and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help="a system of params.yaml")
    system = parser.parse_args().system
    with one_line_errors():
        params = load_params()
        params.system(system)
        set_compute_environment(params.compute)
        run(params, system)


if __name__ == "__main__":
    main()
