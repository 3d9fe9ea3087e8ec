"""Lightning callbacks of one phase. Their state is in its checkpoints, so it survives a kill."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint


class SeedEachStep(Callback):
    """Seed torch before every training step with `seed` plus the number of the batch.

    Dropout is then the same after a restart. Without it, it would not be: Lightning draws from the
    same generator, and draws more in the first epoch of a process.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        torch.manual_seed(self.seed + trainer.fit_loop.total_batch_idx)


def gradient_norm(module: torch.nn.Module) -> torch.Tensor:
    """Return the norm of all gradients together, a scalar."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


class SkipNonFiniteGradients(Callback):
    """Skip the optimiser step if a gradient is NaN or infinite; it would make every weight NaN."""

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if not torch.isfinite(gradient_norm(pl_module)):
            optimizer.zero_grad()
            print(f"netchu: step {trainer.global_step} has no finite gradient and is skipped",
                  file=sys.stderr)  # fmt: skip


class TimerCallback(Callback):
    """Count the seconds spent in epochs, validation included, over all restarts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = state_dict["seconds"]


class HistoryCallback(Callback):
    """Keep one row per epoch: losses, validation CER and learning rate."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append(
            {"epoch": trainer.current_epoch, "step": trainer.global_step, "learning_rate": rate}
            | {name: values[name] for name in ("train_loss", "val_loss", "val_cer")}
        )

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]


class RelocatableCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that knows the best epoch even if its folder was moved.

    Lightning's own forgets it when a training resumes in another folder than it started in, as a
    timed run does.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"dirpath": self.dirpath})


class ResumableEarlyStopping(EarlyStopping):
    """An `EarlyStopping` that trains no further epoch if it had stopped before it was killed."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True
