"""From lines of a table to batches: decode, augment, prepare, and group by width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from netchu.data.stored_frames import equal_to, release_pages, sorted_codes
from netchu.imaging.augmentation import Augmenter
from netchu.imaging.images import Grey, decode
from netchu.imaging.preparation import (
    Preprocessing,
    prepare,
    prepared_width,
    shrink,
    shrunk_size,
)

Indices = NDArray[np.int32]
"""Numbers of lines, of items, or of batches."""

_PART = 65_536
"""Lines or items that are computed at a time, so that temporary arrays stay small."""

# OpenCV's threads compete with torch's for the same cores.
cv2.setNumThreads(0)

Group = tuple[int, ...]
"""Numbers that belong together."""


class Groups(Sequence[Group]):
    """Groups of numbers in two arrays, because tables have millions of lines.

    An item is a group of rows that are concatenated into one line, a batch a group of items.

    Args:
        numbers: the numbers of all groups, one group after the other.
        ends: where each group ends in `numbers`.
    """

    def __init__(self, numbers: Indices, ends: Indices) -> None:
        self.numbers, self.ends = numbers, ends

    @classmethod
    def single(cls, numbers: Indices) -> Groups:
        """Return groups of one number each."""
        return cls(numbers, np.arange(1, len(numbers) + 1, dtype=np.int32))

    @classmethod
    def of_sizes(cls, numbers: Indices, sizes: NDArray[np.integer[Any]]) -> Groups:
        """Return groups of these sizes."""
        return cls(numbers, np.cumsum(sizes, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        end = self.ends[index]
        return tuple(self.numbers[self.ends[index - 1] if index else 0 : end].tolist())

    def part(self, start: int, stop: int) -> Groups:
        """Return the groups from `start` to before `stop`."""
        first = int(self.ends[start - 1]) if start else 0
        ends = self.ends[start:stop]
        return Groups(self.numbers[first : ends[-1] if len(ends) else first], ends - first)

    @property
    def starts(self) -> Indices:
        """Where each group starts in `numbers`."""
        return self.ends - self.sizes

    @property
    def sizes(self) -> Indices:
        """How many numbers each group has."""
        return np.diff(self.ends, prepend=np.int32(0))


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
        items: Groups,
        preprocessing: Preprocessing,
        augmenter: Augmenter | None,
        seed: int,
    ) -> None:
        self.images = lines["image"].array
        # Not lists: Python objects take several times the memory, and in each worker once more.
        self.texts, self.ids, self.levels = (
            pa.array(lines[name], pa.large_string()) for name in ("text", "id", "level")
        )
        self.widths, self.heights = (lines[name].to_numpy() for name in ("width", "height"))
        self.items = items
        self.preprocessing = preprocessing
        self.augmenter = augmenter
        self.seed = seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> PreparedLine:
        rows = self.items[index]
        if self.augmenter:
            photo = self.augmenter(self._shrunk(rows), (self.seed * 1_000_003 + index) % 2**31)
        else:
            photo = self._photo(rows)
        return PreparedLine(
            prepare(photo, self.preprocessing),
            " ".join(self.texts[row].as_py() for row in rows),
            "+".join(self.ids[row].as_py() for row in rows),
            self.levels[rows[0]].as_py(),
        )

    def _photo(self, rows: Group) -> Grey:
        photos = [self._decode(row) for row in rows]
        return photos[0] if len(photos) == 1 else concat_photos(photos)

    def _shrunk(self, rows: Group) -> Grey:
        """Return the photo with hardly more pixels than are needed, decoded to few more."""
        if len(rows) > 1:
            photo = self._photo(rows)
            height, width = photo.shape
            return shrink(photo, shrunk_size(width, height, self.preprocessing))
        height = int(self.heights[rows[0]])
        size = shrunk_size(int(self.widths[rows[0]]), height, self.preprocessing)
        reduction = next(factor for factor in (8, 4, 2, 1) if height >= factor * size[1])
        return shrink(self._decode(rows[0], reduction), size)

    def _decode(self, row: int, reduction: int = 1) -> Grey:
        return decode(self.images[row], f"line {self.ids[row].as_py()}", reduction)


def concat_photos(photos: Sequence[Grey]) -> Grey:
    """Concatenate photos horizontally, resized to the largest height, on the first one's paper."""
    height = max(photo.shape[0] for photo in photos)
    gap = np.full((height, round(height * _GAP)), np.median(photos[0]), np.uint8)
    row: list[Grey] = []
    for photo in photos:
        width = max(1, round(photo.shape[1] * height / photo.shape[0]))
        row += [np.asarray(cv2.resize(photo, (width, height)), np.uint8), gap]
    return np.concatenate(row[:-1], axis=1)


def plan_items(lines: pd.DataFrame, concat_prob: float, seed: int) -> Groups:
    """Return every line as an item of its own, and items of two or three words of one writer.

    Args:
        lines: rows of a line table. An optional column `weight` says how many items each line
            makes; its fraction is the probability of one more.
        concat_prob: share of the words that are also part of a longer item.
        seed: of the choice of words and of the fractions of weights.

    Returns:
        The rows of each item.
    """
    single = _weighted_rows(lines, seed)
    if concat_prob <= 0:
        return Groups.single(single)
    rng = np.random.default_rng(seed)
    rows, sizes = [single], [np.ones(len(single), np.uint8)]
    for words in _words_by_writer(lines, single):
        shuffled = rng.permutation(words)
        start, end = 0, round(len(shuffled) * concat_prob)
        taken = []
        while start < end:
            size = int(rng.integers(2, 4))
            taken.append(min(size, len(shuffled) - start))
            start += size
        if taken and taken[-1] == 1:
            taken.pop()
        rows.append(shuffled[: sum(taken)])
        sizes.append(np.array(taken, np.uint8))
    return Groups.of_sizes(np.concatenate(rows), np.concatenate(sizes))


def _weighted_rows(lines: pd.DataFrame, seed: int) -> Indices:
    """Return each row as often as its weight says, rounded at random."""
    rows = np.arange(len(lines), dtype=np.int32)
    if "weight" not in lines:
        return rows
    weights = lines["weight"].to_numpy()
    rng = np.random.default_rng([seed, 1])
    repeated = [rows[:0]]
    for start in range(0, len(rows), _PART):
        part = weights[start : start + _PART].astype(np.float64)
        counts = np.floor(part) + (rng.random(len(part)) < part % 1)
        repeated.append(np.repeat(rows[start : start + _PART], counts.astype(np.int64)))
    return np.concatenate(repeated)


def _words_by_writer(lines: pd.DataFrame, rows: Indices) -> Iterator[Indices]:
    """Yield those of `rows` that are words, one writer after the other in order of their names."""
    words = rows[equal_to(lines["level"], "word")[rows]]
    writers = sorted_codes(lines["writer"])[words]
    order = np.argsort(writers, kind="stable")
    ends = np.cumsum(np.bincount(writers))
    for start, end in pairwise([0, *ends.tolist()]):
        yield words[order[start:end]]


def item_widths(lines: pd.DataFrame, items: Groups, how: Preprocessing) -> NDArray[np.int32]:
    """Return the widths in pixels of prepared items, without preparing them."""
    sizes = [lines[name].to_numpy() for name in ("width", "height")]
    found = np.empty(len(items), np.int32)
    for start in range(0, len(items), _PART):
        part = items.part(start, start + _PART)
        widths, heights = (size[part.numbers].astype(np.int64) for size in sizes)
        tallest = np.maximum.reduceat(heights, part.starts)
        scaled = np.rint(widths * np.repeat(tallest, part.sizes) / heights).astype(np.int64)
        natural = np.add.reduceat(np.maximum(1, scaled), part.starts)
        natural += (part.sizes - 1) * np.rint(tallest * _GAP).astype(np.int64)
        pairs = zip(natural.tolist(), tallest.tolist(), strict=True)
        found[start : start + _PART] = [prepared_width(*pair, how) for pair in pairs]
    return found


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
        items = np.argsort(widths, kind="stable").astype(np.int32)
        _, numbers = np.unique(np.asarray(widths), return_counts=True)
        if steps is None:
            self.batches = Groups.of_sizes(items, _batch_sizes(numbers, batch_size))
        else:
            rng = np.random.default_rng(seed)
            self.batches = _draw_batches(items, numbers, batch_size, steps, rng, world)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            yield list(batch[self.rank :: self.world])


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
            yield list(self._batches[number])


def _batch_sizes(numbers: NDArray[np.integer[Any]], size: int) -> Indices:
    """Return the sizes of the batches of each width, of which there are `numbers` of items."""
    sizes = [np.zeros(0, np.int32)]
    for number in numbers.tolist():
        sizes.append(np.minimum(number - np.arange(0, number, size, dtype=np.int32), size))
    return np.concatenate(sizes)


def _draw_batches(
    items: Indices,
    numbers: NDArray[np.integer[Any]],
    size: int,
    steps: int,
    rng: np.random.Generator,
    world: int,
) -> Groups:
    """Draw `steps` batches; every item comes once before any comes again.

    Args:
        items: in order of width.
        numbers: of items of each width.
        size: most items per batch.
        steps: number of batches.
        rng: draws.
        world: number of processes, of which each gets equally many items of a batch.
    """
    sizes = _batch_sizes(numbers, size)
    starts = np.cumsum(sizes, dtype=np.int32) - sizes
    shared = sizes // world * world
    usable = np.flatnonzero(shared)
    bounds = [0, *np.cumsum(numbers).tolist()]
    drawn: list[Indices] = []
    while len(drawn) < steps and len(usable):
        shuffled = items.copy()
        for start, end in pairwise(bounds):
            rng.shuffle(shuffled[start:end])
        chosen = usable[rng.permutation(len(usable))][: steps - len(drawn)]
        drawn += [shuffled[starts[i] : starts[i] + shared[i]].copy() for i in chosen]
    batch_sizes = np.array([len(batch) for batch in drawn], np.int32)
    return Groups.of_sizes(np.concatenate([items[:0], *drawn]), batch_sizes)


def collate(lines: Sequence[PreparedLine]) -> LineBatch:
    """Stack lines of the same width into a batch."""
    release_pages()  # where their texts are
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
    items = Groups.single(np.arange(len(lines), dtype=np.int32))
    dataset = LineDataset(lines, items, how, None, 0)
    batches = SharedBatches(
        WidthBatchSampler(item_widths(lines, items, how), batch_size), rank, world
    )
    return DataLoader(
        dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers,
        persistent_workers=workers > 0, pin_memory=pin_memory,
    )  # fmt: skip
