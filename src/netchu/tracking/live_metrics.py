"""What Lightning sends to the run of a stage while it trains.

Names without a slash are the columns of history.csv, one point an epoch. Names of the group `step`
have a point every few optimiser steps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from netchu.tracking import store
from netchu.tracking.readings_image import ReadLine, draw_readings
from netchu.tracking.runs import CURVES
from netchu.training.callbacks import gradient_norm

if TYPE_CHECKING:
    from netchu.tracking.live_run import LiveRun

STEPS = 10
"""Optimiser steps between two points."""

READINGS = "readings"
"""Name of the image of validation lines."""

_LINES = 6


class LiveLogger(Logger):
    """Lightning's logger of a training whose requests are made by the thread of a `LiveRun`.

    It makes no connection, unlike `MLFlowLogger`, which fails a training where MLflow does.

    Args:
        live: the run.
        first_step: is added to the steps of the trainer, which counts those of one phase.
        prefix: of the names of metrics, for one of several folds.
    """

    def __init__(self, live: LiveRun, first_step: int, prefix: str) -> None:
        super().__init__()
        self.live, self.first_step, self.prefix = live, first_step, prefix

    @property
    def name(self) -> str:
        return self.live.name

    @property
    def version(self) -> None:
        return None

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run gets its parameters from the stage."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hand metrics to the thread."""
        for name, value in metrics.items():
            self.live.log(f"{self.prefix}{name}", (step or 0) + self.first_step, value)

    def log_readings(self, lines: list[ReadLine], step: int) -> None:
        """Log an image of validation lines and their readings."""
        step += self.first_step
        key = f"{self.prefix}{READINGS}"

        def write(client: store.Client, run_id: str) -> None:
            client.log_image(run_id, draw_readings(lines), key=key, step=step, synchronous=True)

        # By the name of the metric of the same epoch, a resumed stage knows what is there.
        self.live.log(f"{self.prefix}val_cer", step, write)


class LiveMetrics(Callback):
    """Log loss, learning rate, gradient norm and speed every few steps, and each epoch's values."""

    def __init__(self) -> None:
        self._norm = float("nan")
        self._step, self._lines, self._since = 0, 0, time.monotonic()
        self._shown: list[ReadLine] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._lines, self._since = 0, time.monotonic()

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if (trainer.global_step + 1) % STEPS == 0:
            self._norm = float(gradient_norm(pl_module))  # before it is clipped

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._lines += len(batch.texts) * trainer.world_size
        if trainer.global_step % STEPS or trainer.global_step == self._step:
            return
        now = time.monotonic()
        values = {
            "loss": float(outputs["loss"]),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "gradient_norm": self._norm,
            "lines_per_second": self._lines / max(now - self._since, 1e-9),
        }
        self._step, self._lines, self._since = trainer.global_step, 0, now
        _log(trainer, {f"step/{name}": value for name, value in values.items()})

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        batches = int(trainer.num_val_batches[0])
        if batch_idx % max(1, batches // _LINES) == 0 and len(self._shown) < _LINES:
            ink = batch.images_BCHW[0, 0].float().cpu().numpy()
            paper = (255 * (1 - np.clip(ink, 0, 1))).astype(np.uint8)
            self._shown.append(ReadLine(paper, batch.texts[0], outputs["readings"][0].text))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        values = {name: (values | {"learning_rate": rate})[name] for name in CURVES}
        shown, self._shown = self._shown, []
        if isinstance(trainer.logger, LiveLogger):
            trainer.logger.log_readings(shown, trainer.global_step)
        _log(trainer, values)


def _log(trainer: L.Trainer, values: dict[str, float]) -> None:
    """Log the finite ones of some values; MLflow takes no others."""
    if trainer.logger:
        finite = {name: value for name, value in values.items() if np.isfinite(value)}
        trainer.logger.log_metrics(finite, trainer.global_step)
