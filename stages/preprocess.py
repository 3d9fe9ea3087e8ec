"""Stage preprocess@DATASET: write a line table to data/<profile>/lines/<dataset>."""

from __future__ import annotations

from netchu.core.params import Params
from netchu.core.stage_script import run_stage_for


def preprocess_dataset(params: Params, dataset: str) -> None:
    """Check and split the lines of one dataset."""
    from netchu.data.preprocessing import preprocess

    preprocess(params.dataset(dataset), dataset, params.seed, params.lines / dataset)


if __name__ == "__main__":
    run_stage_for(__doc__, "dataset", "a name under `datasets` in params.yaml", preprocess_dataset)
