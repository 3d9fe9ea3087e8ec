"""Stage baselines@NAME: measure another recogniser on the same test lines."""

from __future__ import annotations

import time

from netchu.core.params import Params
from netchu.core.runtime import set_compute_environment
from netchu.core.stage_script import run_stage_for


def measure(params: Params, baseline: str) -> None:
    """Measure one recogniser and record the run; say why there are no metrics, if so."""
    set_compute_environment(params.compute)
    from netchu.evaluation.baselines.measuring import measure_baseline
    from netchu.tracking.baseline_run import track_baseline

    begin = time.perf_counter()
    metrics = measure_baseline(params, baseline, params.models / "baselines" / baseline)
    track_baseline(params, baseline, time.perf_counter() - begin)
    if metrics["why"]:
        print(f"{baseline} has no metrics: {metrics['why']}")


if __name__ == "__main__":
    run_stage_for(__doc__, "baseline", "a key of `baselines` in params.yaml", measure)
