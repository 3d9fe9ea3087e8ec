"""One phase under Lightning: fit, keep the best epoch, go on where a killed run stopped."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    TQDMProgressBar,
)

from netchu.core.errors import NetchuError
from netchu.core.params import Params, PhaseParams
from netchu.core.runtime import is_main_process
from netchu.data.batches import LineDataModule, plan_items
from netchu.imaging.images import Preprocessing
from netchu.models.base import Recogniser

# Without its adverts and the list of accelerators that are not used.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


@dataclass
class PhaseResult:
    """The recogniser after a phase (its best epoch), the curve, and what it took."""

    recogniser: Recogniser
    phase: PhaseParams
    history: list[dict[str, Any]]
    seconds: float
    lines: int
    folds: list[float] = field(default_factory=list)

    @property
    def val_cer(self) -> float:
        """Validation CER of the epoch that was kept; NaN where there was no validation line."""
        return min((row["val_cer"] for row in self.history), default=float("nan"))

    def summary(self) -> dict[str, Any]:
        """The phase for model.json: parameters, lines, images seen, CER of the kept epoch."""
        seen = len(self.history) * self.phase.steps_per_epoch * self.phase.batch_size
        return {
            "phase": asdict(self.phase),
            "lines": self.lines,
            "epochs": len(self.history),
            "images_seen_at_most": seen,
            "val_cer": round(self.val_cer, 6),
            "fold_val_cer": [round(cer, 6) for cer in self.folds],
        }


class Curve(Callback):
    """One row an epoch, and the seconds spent, both surviving a kill inside the checkpoint.

    It also seeds torch at every step, so that dropout after a restart is what it would have been:
    Lightning draws from the same generator, and more often in the first epoch of a process.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._since = time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = time.monotonic()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        torch.manual_seed(self.seed + trainer.global_step)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append(
            {"epoch": trainer.current_epoch, "step": trainer.global_step, "learning_rate": rate}
            | {name: values[name] for name in ("train_loss", "val_loss", "val_cer")}
        )

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Leave out a step without a finite gradient: it would make every weight NaN."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            optimizer.zero_grad()
            step = trainer.global_step
            print(f"netchu: step {step} has no finite gradient and is left out", file=sys.stderr)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.seconds = state_dict["rows"], state_dict["seconds"]


class Keeper(ModelCheckpoint):
    """Knows the best epoch in another folder too, where Lightning's own would forget it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"dirpath": self.dirpath})


def fit(
    recogniser: Recogniser,
    lines: pd.DataFrame,
    phase: PhaseParams,
    params: Params,
    folder: Path,
    seed: int,
) -> PhaseResult:
    """Train on the train split, choose the epoch on the val split, with checkpoints in `folder`.

    Raises:
        NetchuError: a split is empty.
    """
    data = _data(recogniser, lines, phase, params, seed)
    done = folder / "done.json"
    if done.exists():
        told = json.loads(done.read_text(encoding="utf-8"))
    else:
        told = _fit(recogniser, data, phase, params, folder, seed).state_dict()
        if is_main_process():
            done.write_text(json.dumps(told), encoding="utf-8")
    best = torch.load(folder / "best.ckpt", weights_only=False, map_location="cpu")
    recogniser.load_state_dict(best["state_dict"])
    return PhaseResult(recogniser, phase, told["rows"], told["seconds"], len(data.train))


def _fit(
    recogniser: Recogniser,
    data: LineDataModule,
    phase: PhaseParams,
    params: Params,
    folder: Path,
    seed: int,
) -> Curve:
    """Let Lightning train, from `last.ckpt` where a killed run left one."""
    curve = Curve(seed)
    every_epoch = partial(
        Keeper, folder, enable_version_counter=False, save_on_train_epoch_end=True
    )
    # Not the weights alone: Lightning then leaves out the average.
    best = every_epoch("best", monitor="val_cer")
    last = every_epoch("last")
    average = [EMAWeightAveraging(decay=phase.ema_decay)] if phase.ema_decay else []
    stopping = EarlyStopping("val_cer", patience=phase.patience or phase.epochs, check_finite=False)
    trainer = L.Trainer(
        max_epochs=phase.epochs,
        callbacks=[curve, *average, best, stopping, last, TQDMProgressBar(20)],
        gradient_clip_val=phase.clip, reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0,
        use_distributed_sampler=False, deterministic="warn", benchmark=False, logger=False,
        enable_model_summary=False, default_root_dir=folder, **asdict(params.trainer),
    )  # fmt: skip
    recogniser.phase = phase
    resume = folder / "last.ckpt"
    with _frozen(recogniser, phase):
        trainer.fit(
            recogniser, data, ckpt_path=resume if resume.exists() else None, weights_only=False
        )
        trainer.strategy.barrier()
    return curve


@contextmanager
def _frozen(recogniser: Recogniser, phase: PhaseParams) -> Iterator[None]:
    """Within, the part that the phase names learns nothing; afterwards it is as it was."""
    part = recogniser.part(phase.freeze).parameters() if phase.freeze else ()
    held = [parameter for parameter in part if parameter.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    yield
    for parameter in held:
        parameter.requires_grad_(True)


def _data(
    recogniser: Recogniser, lines: pd.DataFrame, phase: PhaseParams, params: Params, seed: int
) -> LineDataModule:
    train = lines[lines["split"] == "train"].reset_index(drop=True)
    val = validation_lines(lines, phase)
    for name, table in (("train", train), ("val", val)):
        if table.empty:
            raise NetchuError(
                f"{recogniser.system}: no {name} line in {', '.join(phase.datasets)}; check "
                "the datasets' shares and the lines that were skipped"
            )
    return LineDataModule(
        train, plan_items(train, phase.concat_prob, seed), val,
        phase_preprocessing(recogniser, phase), batch_size=phase.batch_size,
        steps_per_epoch=phase.steps_per_epoch, epochs=phase.epochs,
        augmentation_strength=phase.augmentation_strength, seed=seed, workers=params.compute.workers,
    )  # fmt: skip


def phase_preprocessing(recogniser: Recogniser, phase: PhaseParams) -> Preprocessing:
    """How lines are prepared in a phase: smaller, perhaps, than the network will read them.

    Raises:
        NetchuError: the phase has a height of its own and the network cannot do with it.
    """
    own = recogniser.preprocessing
    if not phase.height:
        return own
    if not recogniser.any_height:
        raise NetchuError(
            f"{recogniser.system} reads lines of {own.height} px alone; take 'height: "
            f"{phase.height}' out of the phase or set it in the model"
        )
    return replace(own, height=phase.height)


def validation_lines(lines: pd.DataFrame, phase: PhaseParams) -> pd.DataFrame:
    """The val split, each line once, or `val_lines` of it drawn once and for all."""
    val = lines[lines["split"] == "val"].drop_duplicates(["source", "id"])
    return val.sample(min(len(val), phase.val_lines), random_state=0).reset_index(drop=True)
