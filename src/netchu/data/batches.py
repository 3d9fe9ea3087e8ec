"""From lines of a table to batches: decode, augment, prepare, and group by width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from netchu.imaging.augmentation import Augmenter
from netchu.imaging.images import Grey, decode
from netchu.imaging.preparation import Preprocessing, prepare, prepared_width

# OpenCV's threads compete with torch's for the same cores.
cv2.setNumThreads(0)

Item = tuple[int, ...]
"""Rows of a table that are concatenated into one line."""

_GAP = 0.25
"""Space between concatenated words, as a share of the height."""


@dataclass(frozen=True)
class LineBatch:
    """Prepared lines of one width, with their texts.

    All lines of a batch have the same width, so the result for a line does not depend on the
    others.

    Attributes:
        images_BCHW: float32 with one channel; 0 is paper and 1 is ink.
        widths_B: widths in pixels, padding included.
        texts: the labels, NFC.
        ids: ids from the line table.
        levels: word, line or paragraph.
    """

    images_BCHW: Tensor
    widths_B: Tensor
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    levels: tuple[str, ...]

    def to(self, device: torch.device) -> LineBatch:
        """Return the same batch with its tensors on `device`."""
        return LineBatch(
            self.images_BCHW.to(device), self.widths_B.to(device), self.texts, self.ids, self.levels
        )

    def pin_memory(self) -> LineBatch:
        """Return the same batch in pinned memory, from which copies to a GPU are faster."""
        return LineBatch(
            self.images_BCHW.pin_memory(), self.widths_B.pin_memory(), self.texts, self.ids,
            self.levels,
        )  # fmt: skip


@dataclass(frozen=True)
class PreparedLine:
    """One item of a batch: the prepared image (float32 HW), its text, id and level."""

    image_HW: NDArray[np.float32]
    text: str
    id: str
    level: str


class LineDataset(Dataset[PreparedLine]):
    """Prepared lines of a table.

    Args:
        lines: rows of a line table.
        items: the rows of each item, from `plan_items`.
        preprocessing: how images are prepared.
        augmenter: distorts images before they are prepared; None leaves them as they are.
        seed: of the augmentation; each epoch needs another one.
    """

    def __init__(
        self,
        lines: pd.DataFrame,
        items: Sequence[Item],
        preprocessing: Preprocessing,
        augmenter: Augmenter | None,
        seed: int,
    ) -> None:
        self.images = lines["image"].tolist()
        self.texts = lines["text"].tolist()
        self.ids = lines["id"].tolist()
        self.levels = lines["level"].tolist()
        self.items = items
        self.preprocessing = preprocessing
        self.augmenter = augmenter
        self.seed = seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> PreparedLine:
        rows = self.items[index]
        photos = [decode(self.images[row], f"line {self.ids[row]}") for row in rows]
        photo = photos[0] if len(photos) == 1 else concat_photos(photos)
        if self.augmenter:
            photo = self.augmenter(photo, (self.seed * 1_000_003 + index) % 2**31)
        return PreparedLine(
            prepare(photo, self.preprocessing),
            " ".join(self.texts[row] for row in rows),
            "+".join(self.ids[row] for row in rows),
            self.levels[rows[0]],
        )


def concat_photos(photos: Sequence[Grey]) -> Grey:
    """Concatenate photos horizontally, resized to the largest height, on the first one's paper."""
    height = max(photo.shape[0] for photo in photos)
    gap = np.full((height, round(height * _GAP)), np.median(photos[0]), np.uint8)
    row: list[Grey] = []
    for photo in photos:
        width = max(1, round(photo.shape[1] * height / photo.shape[0]))
        row += [np.asarray(cv2.resize(photo, (width, height)), np.uint8), gap]
    return np.concatenate(row[:-1], axis=1)


def plan_items(lines: pd.DataFrame, concat_prob: float, seed: int) -> list[Item]:
    """Return every line as an item of its own, and items of two or three words of one writer.

    Args:
        lines: rows of a line table. An optional column `weight` says how many items each line
            makes; its fraction is the probability of one more.
        concat_prob: share of the words that are also part of a longer item.
        seed: of the choice of words and of the fractions of weights.
    """
    counts = _items_per_line(lines, seed)
    items: list[Item] = [(row,) for row in np.repeat(np.arange(len(lines)), counts).tolist()]
    if concat_prob <= 0:
        return items
    rng = np.random.default_rng(seed)
    positions = pd.Series(range(len(lines)), index=lines.index)
    words = lines[lines["level"] == "word"]
    for _, group in positions[words.index].groupby(words["writer"], sort=True):
        rows = rng.permutation(np.repeat(group.to_numpy(), counts[group.to_numpy()]))
        start, end = 0, round(len(rows) * concat_prob)
        while start < end:
            size = int(rng.integers(2, 4))
            if len(taken := rows[start : start + size]) > 1:
                items.append(tuple(int(row) for row in taken))
            start += size
    return items


def _items_per_line(lines: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Return how many items each line makes: its weight, rounded at random."""
    if "weight" not in lines:
        return np.ones(len(lines), np.int64)
    weights = lines["weight"].to_numpy(np.float64)
    draws = np.random.default_rng([seed, 1]).random(len(lines))
    return np.asarray(np.floor(weights) + (draws < weights % 1), np.int64)


def item_widths(lines: pd.DataFrame, items: Sequence[Item], how: Preprocessing) -> list[int]:
    """Return the widths in pixels of prepared items, without preparing them."""
    sizes = list(zip(lines["width"].tolist(), lines["height"].tolist(), strict=True))
    widths = []
    for item in items:
        height = max(sizes[row][1] for row in item)
        natural = sum(max(1, round(sizes[row][0] * height / sizes[row][1])) for row in item)
        natural += (len(item) - 1) * round(height * _GAP)
        widths.append(prepared_width(natural, height, how))
    return widths


class WidthBatchSampler(Sampler[list[int]]):
    """Batches of items of the same width.

    In distributed training, rank r takes every `world`-th item of each batch from the r-th on, so
    all processes together see the same batches as one process would.

    Args:
        widths: prepared width of each item.
        batch_size: most items per batch, over all processes.
        steps: number of random batches; None gives every item once, in order of width.
        seed: of the random batches.
        rank: index of this process.
        world: number of processes.
    """

    def __init__(
        self,
        widths: Sequence[int],
        batch_size: int,
        steps: int | None = None,
        seed: Sequence[int] = (0,),
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rank, self.world = rank, world
        buckets: dict[int, list[int]] = {}
        for index, width in enumerate(widths):
            buckets.setdefault(width, []).append(index)
        ordered = [buckets[width] for width in sorted(buckets)]
        if steps is None:
            self.batches = [b for bucket in ordered for b in _chunks(bucket, batch_size)]
        else:
            self.batches = _draw_batches(
                ordered, batch_size, steps, np.random.default_rng(seed), world
            )

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            yield batch[self.rank :: self.world]


class SharedBatches(Sampler[list[int]]):
    """The batches of one process of several that share the lines of a table.

    All processes have equally many batches, because those of DDP wait for each other. Where the
    number does not divide, some have the last batch too; `numbers` tells them apart.
    """

    def __init__(self, batches: WidthBatchSampler, rank: int, world: int) -> None:
        self._batches = batches.batches
        last = len(self._batches) - 1
        self.numbers = [min(n + rank, last) for n in range(0, len(self._batches), world)]
        """Number of each batch among those of all processes."""

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[int]]:
        for number in self.numbers:
            yield self._batches[number]


def _chunks(indices: Sequence[int], size: int) -> list[list[int]]:
    return [list(indices[start : start + size]) for start in range(0, len(indices), size)]


def _draw_batches(
    buckets: list[list[int]], size: int, steps: int, rng: np.random.Generator, world: int
) -> list[list[int]]:
    """Draw `steps` batches; every item comes once before any comes again."""
    drawn: list[list[int]] = []
    while len(drawn) < steps:
        epoch = [
            batch[: len(batch) // world * world]
            for bucket in buckets
            for batch in _chunks([bucket[i] for i in rng.permutation(len(bucket))], size)
            if len(batch) >= world
        ]
        if not epoch:
            break
        drawn += [epoch[i] for i in rng.permutation(len(epoch))]
    return drawn[:steps]


def collate(lines: Sequence[PreparedLine]) -> LineBatch:
    """Stack lines of the same width into a batch."""
    images_BCHW = torch.from_numpy(np.stack([line.image_HW for line in lines])[:, None])
    return LineBatch(
        images_BCHW,
        torch.full((len(lines),), images_BCHW.shape[-1]),
        tuple(line.text for line in lines),
        tuple(line.id for line in lines),
        tuple(line.level for line in lines),
    )


Batches = DataLoader[Any]
"""A loader that yields `LineBatch`; torch's type parameter is the type of one item."""


def frame_batches(
    lines: pd.DataFrame,
    how: Preprocessing,
    batch_size: int,
    *,
    workers: int = 0,
    pin_memory: bool = False,
    rank: int = 0,
    world: int = 1,
) -> Batches:
    """Return a loader of every line once, not augmented, in batches of one width.

    Of `world` processes, the one of number `rank` gets its share (`SharedBatches`).
    """
    items: list[Item] = [(row,) for row in range(len(lines))]
    dataset = LineDataset(lines, items, how, None, 0)
    batches = SharedBatches(
        WidthBatchSampler(item_widths(lines, items, how), batch_size), rank, world
    )
    return DataLoader(
        dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers,
        persistent_workers=workers > 0, pin_memory=pin_memory,
    )  # fmt: skip
