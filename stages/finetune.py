"""Stage finetune@SYSTEM: train a pretrained system on the lines it is meant for."""

from __future__ import annotations

from netchu.core.errors import RESUMABLE
from netchu.core.params import Params
from netchu.core.runtime import set_compute_environment
from netchu.core.stage_script import run_stage_for


def finetune(params: Params, system: str) -> None:
    """Train one system and record the run."""
    set_compute_environment(params.compute)
    from netchu.tracking.store import track_training
    from netchu.training.phases import train_stage

    track_training(params, system, "finetune", train_stage(params, system, "finetune"))


if __name__ == "__main__":
    run_stage_for(__doc__, "system", "a system of params.yaml", finetune, interrupted=RESUMABLE)
