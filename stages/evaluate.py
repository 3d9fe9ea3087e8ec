"""Stage evaluate@SYSTEM: read the test lines with a system; metrics and speed."""

from __future__ import annotations

import time

from netchu.core.params import Params
from netchu.core.runtime import set_compute_environment
from netchu.core.stage_script import run_stage_for


def evaluate(params: Params, system: str) -> None:
    """Read and time one system, and record the run."""
    set_compute_environment(params.compute)
    from netchu.evaluation.evaluate import evaluate_system, time_system
    from netchu.tracking.evaluation_run import track_evaluation

    folder = params.models / system
    begin = time.perf_counter()
    evaluate_system(params, system, folder / "evaluation")
    time_system(params, system, folder / "speed.json")
    track_evaluation(params, system, time.perf_counter() - begin)


if __name__ == "__main__":
    run_stage_for(__doc__, "system", "a system of params.yaml", evaluate)
