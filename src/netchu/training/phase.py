"""One phase under Lightning: fit, keep the best epoch, resume where a killed run stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, TQDMProgressBar
from lightning.pytorch.loggers import Logger

from netchu.core.errors import NetchuError
from netchu.core.files import read_json, write_json
from netchu.core.params import Params, PhaseParams
from netchu.core.runtime import is_main_process
from netchu.data.batches import plan_items
from netchu.data.stored_frames import equal_to, groups_by_key, select_rows
from netchu.imaging.preparation import Preprocessing
from netchu.models.base import Recogniser
from netchu.training.callbacks import (
    HistoryCallback,
    RelocatableCheckpoint,
    ResumableEarlyStopping,
    SeedEachStep,
    SkipNonFiniteGradients,
    TimerCallback,
)
from netchu.training.checkpoints import (
    BEST,
    DONE,
    LAST,
    DurableCheckpointIO,
    read_checkpoint,
    recover_phase,
)
from netchu.training.data_module import LineDataModule, loading_processes
from netchu.training.monitor import Instruments

# No tips and no list of unused accelerators.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


@dataclass
class PhaseResult:
    """The recogniser after a phase, with the weights of its best epoch.

    history: one row per epoch. lines: number of training lines. fold_cers: CER on the val split by
    fold, for K-fold training.
    """

    recogniser: Recogniser
    phase: PhaseParams
    history: list[dict[str, Any]]
    seconds: float
    lines: int
    fold_cers: list[float] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return int(self.history[-1]["step"]) if self.history else 0

    @property
    def val_cer(self) -> float:
        """Validation CER of the best epoch; NaN if no epoch has ended."""
        if not self.history:
            return float("nan")
        return float(min(self.history, key=lambda row: row[self.phase.monitor])["val_cer"])

    def summary(self) -> dict[str, Any]:
        """Return what the model card says of the phase."""
        seen = len(self.history) * self.phase.steps_per_epoch * self.phase.batch_size
        return {
            "phase": asdict(self.phase),
            "lines": self.lines,
            "epochs": len(self.history),
            "images_seen_at_most": seen,
            "val_cer": round(self.val_cer, 6),
            "fold_val_cer": [round(cer, 6) for cer in self.fold_cers],
        }


def fit_phase(
    recogniser: Recogniser,
    lines: pd.DataFrame,
    phase: PhaseParams,
    params: Params,
    folder: Path,
    seed: int,
    instruments: Instruments | None = None,
    prefix: str = "",
) -> PhaseResult:
    """Train on the train split and choose the epoch on the val split.

    Checkpoints go to `folder`. A phase that ended there is not trained again, and one that was
    killed resumes after its last whole epoch, or, if that checkpoint is damaged, after the one
    before. `instruments` watch it and name its metrics with
    `prefix`.

    Raises:
        NetchuError: a split is empty, or the parameters of the trainer do not suit this machine.
    """
    data = phase_data(recogniser, lines, phase, params, seed)
    if is_main_process():
        recover_phase(folder)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # every process resumes from the same checkpoint
    done = folder / DONE
    if not done.exists():
        logger, watching = instruments(prefix) if instruments else (None, [])
        record = _fit(recogniser, data, phase, params, folder, seed, logger, watching)
        if is_main_process():
            write_json(record, done, durable=True)
    else:
        record = read_json(done, "remove its folder to train the phase again")
    recogniser.load_state_dict(read_checkpoint(folder / BEST)["state_dict"])
    return PhaseResult(recogniser, phase, record["rows"], record["seconds"], len(data.train))


def _fit(
    recogniser: Recogniser,
    data: LineDataModule,
    phase: PhaseParams,
    params: Params,
    folder: Path,
    seed: int,
    logger: Logger | None,
    watching: Sequence[Callback],
) -> dict[str, Any]:
    """Train from `last.ckpt` if there is one; return the rows of the epochs, and the seconds."""
    history, timer = HistoryCallback(), TimerCallback()
    # Whole checkpoints: those of weights alone would lack the running mean.
    checkpoint = partial(
        RelocatableCheckpoint, folder, enable_version_counter=False, save_on_train_epoch_end=True
    )
    averaging = [EMAWeightAveraging(decay=phase.ema_decay)] if phase.ema_decay else []
    callbacks = [
        SeedEachStep(seed),
        SkipNonFiniteGradients(),
        timer,
        history,  # before the checkpoints, which then hold the row of their own epoch
        *averaging,
        checkpoint("best", monitor=phase.monitor),
        ResumableEarlyStopping(
            phase.monitor, patience=phase.patience or phase.epochs, check_finite=False
        ),
        checkpoint("last"),
        TQDMProgressBar(20),
        *watching,
    ]
    try:
        trainer = L.Trainer(
            max_epochs=phase.epochs, callbacks=callbacks, gradient_clip_val=phase.clip,
            num_sanity_val_steps=0,
            use_distributed_sampler=False, deterministic="warn", benchmark=False,
            logger=logger or False, log_every_n_steps=1, enable_model_summary=False,
            default_root_dir=folder, plugins=[DurableCheckpointIO()],
            **asdict(params.trainer),
        )  # fmt: skip
    except (ValueError, MisconfigurationException) as error:
        raise NetchuError(f"params.yaml trainer: {error}") from None
    recogniser.phase = phase
    resume = folder / LAST
    with _frozen(recogniser, phase):
        try:
            trainer.fit(
                recogniser, data, ckpt_path=resume if resume.exists() else None, weights_only=False
            )
        except SystemExit as left:
            # Lightning makes exit code 1 of Ctrl-C and SIGTERM, without a word.
            if isinstance(left.__context__, KeyboardInterrupt):
                raise left.__context__ from None
            raise
        trainer.strategy.barrier()
    return {"rows": history.rows, "seconds": timer.seconds}


@contextmanager
def _frozen(recogniser: Recogniser, phase: PhaseParams) -> Iterator[None]:
    """Temporarily freeze the part of the network that `phase.freeze` names."""
    part = recogniser.part(phase.freeze).parameters() if phase.freeze else ()
    frozen = [parameter for parameter in part if parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def phase_data(
    recogniser: Recogniser, lines: pd.DataFrame, phase: PhaseParams, params: Params, seed: int
) -> LineDataModule:
    """Return the batches of a phase, of the train and val lines among `lines`.

    Raises:
        NetchuError: a split is empty.
    """
    train = select_rows(lines, equal_to(lines["split"], "train"))
    val = validation_lines(lines, phase)
    for name, table in (("train", train), ("val", val)):
        if table.empty:
            raise NetchuError(
                f"{recogniser.network}: no {name} line in {', '.join(phase.datasets)}; check "
                "the datasets' shares and the skipped lines"
            )
    return LineDataModule(
        train, plan_items(train, phase.concat_prob, seed), val,
        phase_preprocessing(recogniser, phase), batch_size=phase.batch_size,
        steps_per_epoch=phase.steps_per_epoch, epochs=phase.epochs,
        augmentation_strength=phase.augmentation_strength, seed=seed,
        workers=loading_processes(params),
    )  # fmt: skip


def phase_preprocessing(recogniser: Recogniser, phase: PhaseParams) -> Preprocessing:
    """Return how lines are prepared in a phase, which may have a height of its own.

    Raises:
        NetchuError: the phase has another height, and the network takes only one.
    """
    own = recogniser.preprocessing
    if not phase.height:
        return own
    if not recogniser.any_height:
        raise NetchuError(
            f"{recogniser.network} takes only lines of {own.height} px; remove 'height: "
            f"{phase.height}' from the phase or set it in the model"
        )
    return replace(own, height=phase.height)


def validation_lines(lines: pd.DataFrame, phase: PhaseParams) -> pd.DataFrame:
    """Return the val split, each line once, or a fixed sample of `val_lines` of it."""
    val = select_rows(lines, equal_to(lines["split"], "val"))
    first = np.ones(len(val), np.bool_)
    for group in groups_by_key(val[["source", "id"]], "id"):
        first[group.index] = ~group.duplicated()
    once = pd.Series(np.flatnonzero(first))
    sample = once.sample(min(len(once), phase.val_lines), random_state=0)
    return val.iloc[sample].reset_index(drop=True)
