"""Stage finetune@SYSTEM: train a pretrained system on the lines it is meant for."""

from __future__ import annotations

from netchu.core.errors import RESUMABLE
from netchu.core.params import Params
from netchu.core.runtime import set_compute_environment
from netchu.core.stage_script import run_stage_for


def finetune(params: Params, system: str) -> None:
    """Train one system and track it."""
    set_compute_environment(params.compute)
    from netchu.tracking.live_run import tracked_training
    from netchu.training.stage import train_stage

    with tracked_training(params, system, "finetune") as monitor:
        train_stage(params, system, "finetune", monitor)


if __name__ == "__main__":
    run_stage_for(
        __doc__,
        "system",
        "a system of params.yaml",
        finetune,
        interrupted=RESUMABLE,
        distributed=True,
    )
