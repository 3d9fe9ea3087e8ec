"""Stage evaluate@SYSTEM: read the test lines, score the readings, time them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from netchu.compute import cap
from netchu.errors import one_line_errors
from netchu.params import Params, load_params


def run(params: Params, system: str) -> None:
    """Evaluate one system; torch loads only after the caps are set."""
    from netchu import checkpoint, evaluation, tracking

    home = Path("models") / params.profile / system
    begin = time.perf_counter()
    metrics = evaluation.evaluate(params, system, home / "evaluation")
    speed = evaluation.measure(params, system, home / "speed.json")
    card = checkpoint.read_card(params.model_folder(system, "finetune"))
    files = [home / "evaluation" / "metrics.json", home / "evaluation" / "predictions.parquet"]
    seconds = time.perf_counter() - begin
    tracking.track_evaluation(params, system, metrics, speed, card, seconds, files)


def main() -> None:
    """Read the flags and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help="a system of params.yaml")
    system = parser.parse_args().system
    with one_line_errors():
        params = load_params()
        params.system(system)
        cap(params.compute)
        run(params, system)


if __name__ == "__main__":
    main()
