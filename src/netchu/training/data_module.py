"""Training and validation batches of one phase, for Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning as L
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from netchu.core.cores import available_cores
from netchu.core.params import Params
from netchu.data.batches import (
    Batches,
    Groups,
    LineDataset,
    PreparedLine,
    WidthBatchSampler,
    collate,
    frame_batches,
    item_widths,
)
from netchu.imaging.augmentation import Augmenter
from netchu.imaging.preparation import Preprocessing

MAX_AUTOMATIC = 12
"""Processes that load lines unless a number is given; each has files open and memory of its own."""


def loading_processes(params: Params) -> int:
    """Return how many processes load lines for each process that trains.

    By default they are as many as the cores that the training leaves free, at most `MAX_AUTOMATIC`.
    On a GPU a training takes one core, on a CPU as many as it has threads.
    """
    if params.compute.workers != "auto":
        return params.compute.workers
    trainer = params.trainer
    computing = 1 if trainer.accelerator == "gpu" else params.compute.threads
    return min(max(0, available_cores() // trainer.devices - computing), MAX_AUTOMATIC)


class LineDataModule(L.LightningDataModule):
    """Training and validation batches of one phase.

    Everything random depends on (seed, epoch) alone, so a resumed run continues with the batches
    that the interrupted one would have had, whatever the number of workers.

    Args:
        train: rows of a line table to train on.
        items: rows of `train` that are shown together as one line, from `plan_items`.
        val: rows of a line table to validate on.
        preprocessing: how the network's images are prepared.
        batch_size: items per batch, over all processes.
        steps_per_epoch: batches per epoch.
        epochs: length of the augmentation curriculum.
        augmentation_strength: at the first and at the last epoch; linear in between.
        seed: seed of batches and augmentation.
        workers: processes that load batches and live as long as the phase; 0 loads in the training
            process.
    """

    def __init__(
        self,
        train: pd.DataFrame,
        items: Groups,
        val: pd.DataFrame,
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        steps_per_epoch: int,
        epochs: int,
        augmentation_strength: tuple[float, float],
        seed: int,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.train, self.items, self.val = train, items, val
        self.preprocessing = preprocessing
        self.batch_size, self.steps, self.epochs = batch_size, steps_per_epoch, epochs
        self.augmentation_strength, self.seed, self.workers = augmentation_strength, seed, workers
        self.widths = item_widths(train, items, preprocessing)

    def augmentation_strength_at(self, epoch: int) -> float:
        """Return the augmentation strength of an epoch (from 0)."""
        first, last = self.augmentation_strength
        return first + (last - first) * min(1.0, epoch / max(1, self.epochs - 1))

    def train_dataloader(self) -> Batches:
        dataset = AugmentedLines(
            LineDataset(self.train, self.items, self.preprocessing, None, self.seed),
            [self.augmentation_strength_at(epoch) for epoch in range(self.epochs)],
        )
        batches = EpochBatches(
            self.widths, self.batch_size, self.steps, self.seed, *self._rank_and_world()
        )
        if self.trainer:
            # After a restart Lightning calls `set_epoch` when loading processes have been given
            # their first batches. `current_epoch` is still that of the checkpoint.
            progress = self.trainer.fit_loop.epoch_progress.current
            batches.set_epoch(progress.processed)  # type: ignore[attr-defined]
        return DataLoader(
            dataset, batch_sampler=batches, collate_fn=collate, num_workers=self.workers,
            persistent_workers=self.workers > 0, pin_memory=self._pin_memory(),
        )  # fmt: skip

    def val_dataloader(self) -> Batches:
        rank, world = self._rank_and_world()
        return frame_batches(
            self.val, self.preprocessing, self.batch_size,
            workers=self.workers, pin_memory=self._pin_memory(), rank=rank, world=world,
        )  # fmt: skip

    def _rank_and_world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _pin_memory(self) -> bool:
        """Whether batches are copied to a GPU, which is faster from pinned memory."""
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"


class AugmentedLines(Dataset[PreparedLine]):
    """The lines of a dataset, augmented anew in every epoch.

    Args:
        lines: the dataset, without an augmenter.
        strengths: augmentation strength by epoch.
    """

    def __init__(self, lines: LineDataset, strengths: Sequence[float]) -> None:
        self.lines, self.strengths, self.seed = lines, strengths, lines.seed
        self._epoch: int | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, key: tuple[int, int]) -> PreparedLine:
        """Return an item by (epoch, index); a worker that lives on learns the epoch from it."""
        epoch, index = key
        if epoch != self._epoch:
            self._epoch = epoch
            self.lines.augmenter = Augmenter(self.strengths[epoch])
            self.lines.seed = self.seed + 7919 * epoch
        return self.lines[index]


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """The batches of an epoch, each item as (epoch, index); see `WidthBatchSampler`."""

    def __init__(
        self,
        widths: NDArray[np.int32],
        batch_size: int,
        steps: int,
        seed: int,
        rank: int,
        world: int,
    ) -> None:
        self.widths, self.batch_size, self.steps, self.seed = widths, batch_size, steps, seed
        self.rank, self.world = rank, world
        self.epoch = 0
        self._drawn: tuple[int, WidthBatchSampler] | None = None
        # Lightning calls `set_epoch` of a batch sampler's sampler, as torch's own has one.
        self.sampler = self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        for batch in self._batches():
            yield [(epoch, index) for index in batch]

    def _batches(self) -> WidthBatchSampler:
        if self._drawn is None or self._drawn[0] != self.epoch:
            seed = (self.seed, self.epoch)
            batches = WidthBatchSampler(
                self.widths, self.batch_size, self.steps, seed, self.rank, self.world
            )
            self._drawn = (self.epoch, batches)
        return self._drawn[1]
