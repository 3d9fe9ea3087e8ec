"""Stage pretrain@SYSTEM: train a system from its first weights."""

from __future__ import annotations

from netchu.core.errors import RESUMABLE
from netchu.core.params import Params
from netchu.core.runtime import set_compute_environment
from netchu.core.stage_script import run_stage_for


def pretrain(params: Params, system: str) -> None:
    """Train one system and track it."""
    set_compute_environment(params.compute)
    from netchu.tracking.live_run import tracked_training
    from netchu.training.stage import train_stage

    with tracked_training(params, system, "pretrain") as monitor:
        train_stage(params, system, "pretrain", monitor)


if __name__ == "__main__":
    run_stage_for(
        __doc__,
        "system",
        "a system of params.yaml",
        pretrain,
        interrupted=RESUMABLE,
        distributed=True,
    )
