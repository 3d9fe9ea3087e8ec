"""Training and validation batches of one phase, for Lightning."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
import pandas as pd

from netchu.data.batches import (
    Batches,
    Item,
    LineDataset,
    WidthBatchSampler,
    batch_loader,
    frame_batches,
    item_widths,
)
from netchu.imaging.augmentation import Augmenter
from netchu.imaging.preparation import Preprocessing


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
        workers: processes that load training batches; 0 loads in the training process.
    """

    def __init__(
        self,
        train: pd.DataFrame,
        items: Sequence[Item],
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
        epoch = self.trainer.current_epoch if self.trainer else 0
        augmenter = Augmenter(self.augmentation_strength_at(epoch))
        dataset = LineDataset(
            self.train, self.items, self.preprocessing, augmenter, self.seed + 7919 * epoch
        )
        rank, world = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        batches = WidthBatchSampler(
            self.widths, self.batch_size, self.steps, (self.seed, epoch), rank, world
        )
        return batch_loader(dataset, batches, self.workers)

    def val_dataloader(self) -> Batches:
        return frame_batches(self.val, self.preprocessing, self.batch_size)
