"""From lines of a table to batches: decode, augment, prepare, and group by width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from netchu.imaging.augmentation import Augmenter
from netchu.imaging.images import Grey, decode
from netchu.imaging.preparation import Preprocessing, prepare, prepared_width, shrink

# OpenCV's threads compete with torch's for the same cores.
cv2.setNumThreads(0)

Item = tuple[int, ...]
"""Rows of a table that are concatenated into one line."""


class Items(Sequence[Item]):
    """Items as arrays of numbers, because tables have millions of lines.

    Args:
        rows: the rows of all items, one item after the other.
        ends: where each item ends in `rows`.
    """

    def __init__(self, rows: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        self.rows, self.ends = rows, ends

    @classmethod
    def single(cls, rows: NDArray[np.int64]) -> Items:
        """Return items of one row each."""
        return cls(rows, np.arange(1, len(rows) + 1))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        end = self.ends[index]
        return tuple(self.rows[self.ends[index - 1] if index else 0 : end].tolist())

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each item starts in `rows`."""
        return np.concatenate([[0], self.ends[:-1]]) if len(self) else self.ends


Indices = NDArray[np.int64]
"""Numbers of items."""

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
        lines: rows of a line table; their images are read when an item is.
        items: the rows of each item, from `plan_items`.
        preprocessing: how images are prepared.
        augmenter: distorts images before they are prepared; None leaves them as they are.
        seed: of the augmentation; each epoch needs another one.
    """

    def __init__(
        self,
        lines: pd.DataFrame,
        items: Items,
        preprocessing: Preprocessing,
        augmenter: Augmenter | None,
        seed: int,
    ) -> None:
        self.images = lines["image"].array
        # Not lists: Python objects take several times the memory, and in each worker once more.
        self.texts, self.ids, self.levels = (
            pa.array(lines[name], pa.large_string()) for name in ("text", "id", "level")
        )
        self.items = items
        self.preprocessing = preprocessing
        self.augmenter = augmenter
        self.seed = seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> PreparedLine:
        rows = self.items[index]
        ids = [self.ids[row].as_py() for row in rows]
        photos = [
            decode(self.images[row], f"line {name}") for row, name in zip(rows, ids, strict=True)
        ]
        photo = photos[0] if len(photos) == 1 else concat_photos(photos)
        if self.augmenter:
            photo = shrink(photo, self.preprocessing)
            photo = self.augmenter(photo, (self.seed * 1_000_003 + index) % 2**31)
        return PreparedLine(
            prepare(photo, self.preprocessing),
            " ".join(self.texts[row].as_py() for row in rows),
            "+".join(ids),
            self.levels[rows[0]].as_py(),
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


def plan_items(lines: pd.DataFrame, concat_prob: float, seed: int) -> Items:
    """Return every line as an item of its own, and items of two or three words of one writer.

    Args:
        lines: rows of a line table. An optional column `weight` says how many items each line
            makes; its fraction is the probability of one more.
        concat_prob: share of the words that are also part of a longer item.
        seed: of the choice of words and of the fractions of weights.
    """
    counts = _items_per_line(lines, seed)
    single = Items.single(np.repeat(np.arange(len(lines)), counts))
    if concat_prob <= 0:
        return single
    rng = np.random.default_rng(seed)
    words = pd.Series(np.flatnonzero(lines["level"] == "word"))
    writers = lines["writer"].iloc[words.to_numpy()].reset_index(drop=True)
    rows, sizes = [single.rows], [np.ones(len(single), np.int64)]
    for _, group in words.groupby(writers, sort=True):
        shuffled = rng.permutation(np.repeat(group.to_numpy(), counts[group.to_numpy()]))
        start, end = 0, round(len(shuffled) * concat_prob)
        taken = []
        while start < end:
            size = int(rng.integers(2, 4))
            taken.append(min(size, len(shuffled) - start))
            start += size
        if taken and taken[-1] == 1:
            taken.pop()
        rows.append(shuffled[: sum(taken)])
        sizes.append(np.array(taken, np.int64))
    return Items(np.concatenate(rows), np.cumsum(np.concatenate(sizes)))


def _items_per_line(lines: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Return how many items each line makes: its weight, rounded at random."""
    if "weight" not in lines:
        return np.ones(len(lines), np.int64)
    weights = lines["weight"].to_numpy(np.float64)
    draws = np.random.default_rng([seed, 1]).random(len(lines))
    return np.asarray(np.floor(weights) + (draws < weights % 1), np.int64)


def item_widths(lines: pd.DataFrame, items: Items, how: Preprocessing) -> NDArray[np.int32]:
    """Return the widths in pixels of prepared items, without preparing them."""
    if not len(items):
        return np.zeros(0, np.int32)
    sizes = np.diff(items.ends, prepend=0)
    widths, heights = (lines[name].to_numpy(np.int64)[items.rows] for name in ("width", "height"))
    tallest = np.maximum.reduceat(heights, items.starts)
    scaled = np.rint(widths * np.repeat(tallest, sizes) / heights).astype(np.int64)
    natural = np.add.reduceat(np.maximum(1, scaled), items.starts)
    natural += (sizes - 1) * np.rint(tallest * _GAP).astype(np.int64)
    pairs = zip(map(int, natural), map(int, tallest), strict=True)
    return np.fromiter((prepared_width(*pair, how) for pair in pairs), np.int32, len(items))


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
        widths: ArrayLike,
        batch_size: int,
        steps: int | None = None,
        seed: Sequence[int] = (0,),
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rank, self.world = rank, world
        items = np.argsort(widths, kind="stable")
        _, numbers = np.unique(np.asarray(widths), return_counts=True)
        buckets = np.split(items, np.cumsum(numbers)[:-1])
        if steps is None:
            self.batches = [b for bucket in buckets for b in _chunks(bucket, batch_size)]
        else:
            self.batches = _draw_batches(
                buckets, batch_size, steps, np.random.default_rng(seed), world
            )

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            yield batch[self.rank :: self.world].tolist()


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
            yield self._batches[number].tolist()


def _chunks(indices: Indices, size: int) -> list[Indices]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def _draw_batches(
    buckets: list[Indices], size: int, steps: int, rng: np.random.Generator, world: int
) -> list[Indices]:
    """Draw `steps` batches; every item comes once before any comes again."""
    drawn: list[Indices] = []
    while len(drawn) < steps:
        epoch = [
            batch[: len(batch) // world * world]
            for bucket in buckets
            for batch in _chunks(bucket[rng.permutation(len(bucket))], size)
            if len(batch) >= world
        ]
        if not epoch:
            break
        drawn += [epoch[i] for i in rng.permutation(len(epoch))]
    return [batch.copy() for batch in drawn[:steps]]  # views would keep the items of all batches


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
    items = Items.single(np.arange(len(lines)))
    dataset = LineDataset(lines, items, how, None, 0)
    batches = SharedBatches(
        WidthBatchSampler(item_widths(lines, items, how), batch_size), rank, world
    )
    return DataLoader(
        dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers,
        persistent_workers=workers > 0, pin_memory=pin_memory,
    )  # fmt: skip
