"""What watches a training while it runs, such as the tracking of `netchu.tracking.live_run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

Instruments = Callable[[str], tuple[Logger, list[Callback]]]
"""Returns the logger and the callbacks of one phase, given a prefix for the names of metrics."""


class TrainingMonitor(Protocol):
    """Watches the training of one stage; it changes no byte of what the stage writes."""

    def begin(self, checkpoints: Path) -> None:
        """Take note that training starts, or resumes from the checkpoints in this folder."""

    def instruments(self, first_step: int, prefix: str) -> tuple[Logger, list[Callback]]:
        """Return a logger and callbacks for one phase, or for one fold of it.

        Args:
            first_step: optimiser steps of the phases before.
            prefix: of the names of metrics, for one of several folds, or "".
        """
        ...
