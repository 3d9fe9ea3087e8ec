"""Stage baselines@NAME: measure another recogniser on the same test lines."""

from __future__ import annotations

import argparse
import time

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params
from netchu.core.runtime import set_compute_environment


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("baseline", help="a key of baselines in params.yaml")
    baseline = parser.parse_args().baseline
    with one_line_errors():
        params = load_params()
        set_compute_environment(params.compute)
        from netchu.evaluation.baselines.measuring import measure_baseline
        from netchu.tracking.baseline_run import track_baseline

        begin = time.perf_counter()
        metrics = measure_baseline(params, baseline, params.models / "baselines" / baseline)
        track_baseline(params, baseline, time.perf_counter() - begin)
        if metrics["why"]:
            print(f"{baseline} has no metrics: {metrics['why']}")


if __name__ == "__main__":
    main()
