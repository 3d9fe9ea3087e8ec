"""Lines to batches: decode, augment, prepare, and group by width."""

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

# OpenCV's own threads fight with torch's for the same cores.
cv2.setNumThreads(0)

Item = tuple[int, ...]
"""Rows of a table that are shown side by side as one line."""

_GAP = 0.25
"""White between joined words, as a share of the height."""


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


@dataclass(frozen=True)
class PreparedLine:
    """One item of a batch before it is stacked: float32 HW, its text, id and level."""

    image_HW: NDArray[np.float32]
    text: str
    id: str
    level: str


class LineDataset(Dataset[PreparedLine]):
    """Prepared lines of a table; with an augmenter each epoch shows them otherwise."""

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
        photo = photos[0] if len(photos) == 1 else join(photos)
        if self.augmenter:
            photo = self.augmenter(photo, (self.seed * 1_000_003 + index) % 2**31)
        return PreparedLine(
            prepare(photo, self.preprocessing),
            " ".join(self.texts[row] for row in rows),
            "+".join(self.ids[row] for row in rows),
            self.levels[rows[0]],
        )


def join(photos: Sequence[Grey]) -> Grey:
    """Photos side by side on the first one's paper, brought to one height."""
    height = max(photo.shape[0] for photo in photos)
    gap = np.full((height, round(height * _GAP)), np.median(photos[0]), np.uint8)
    row: list[Grey] = []
    for photo in photos:
        width = max(1, round(photo.shape[1] * height / photo.shape[0]))
        row += [np.asarray(cv2.resize(photo, (width, height)), np.uint8), gap]
    return np.concatenate(row[:-1], axis=1)


def plan_items(lines: pd.DataFrame, concat_prob: float, seed: int) -> list[Item]:
    """Each line once; beside them, for a share `concat_prob` of the words, two or three in a row.

    Words are joined with words of the same writer and height, so that a hand stays one hand.
    """
    items: list[Item] = [(row,) for row in range(len(lines))]
    if concat_prob <= 0:
        return items
    rng = np.random.default_rng(seed)
    place = pd.Series(range(len(lines)), index=lines.index)
    words = lines[lines["level"] == "word"]
    for _, group in place[words.index].groupby(words["writer"], sort=True):
        rows = rng.permutation(group.to_numpy())
        at, end = 0, round(len(rows) * concat_prob)
        while at < end:
            size = int(rng.integers(2, 4))
            if len(taken := rows[at : at + size]) > 1:
                items.append(tuple(int(row) for row in taken))
            at += size
    return items


def item_widths(lines: pd.DataFrame, items: Sequence[Item], how: Preprocessing) -> list[int]:
    """Widths in pixels of prepared items."""
    sizes = list(zip(lines["width"].tolist(), lines["height"].tolist(), strict=True))
    widths = []
    for item in items:
        height = max(sizes[row][1] for row in item)
        natural = sum(max(1, round(sizes[row][0] * height / sizes[row][1])) for row in item)
        natural += (len(item) - 1) * round(height * _GAP)
        widths.append(prepared_width(natural, height, how))
    return widths


class WidthBatches(Sampler[list[int]]):
    """Batches of equally wide items: all of them once, or `steps` drawn at random.

    Of every batch, rank r of `world` processes takes each world-th item, so that together they see
    what one process would.
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
            self.batches = [b for bucket in ordered for b in _cut(bucket, batch_size)]
        else:
            self.batches = _draw(ordered, batch_size, steps, np.random.default_rng(seed), world)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            yield batch[self.rank :: self.world]


def _cut(indices: Sequence[int], size: int) -> list[list[int]]:
    return [list(indices[at : at + size]) for at in range(0, len(indices), size)]


def _draw(
    buckets: list[list[int]], size: int, steps: int, rng: np.random.Generator, world: int
) -> list[list[int]]:
    """`steps` batches; every line comes once before any comes again."""
    drawn: list[list[int]] = []
    while len(drawn) < steps:
        once = [
            batch[: len(batch) // world * world]
            for bucket in buckets
            for batch in _cut([bucket[i] for i in rng.permutation(len(bucket))], size)
            if len(batch) >= world
        ]
        if not once:
            break
        drawn += [once[i] for i in rng.permutation(len(once))]
    return drawn[:steps]


def collate(lines: Sequence[PreparedLine]) -> LineBatch:
    """Stack equally wide lines."""
    images_BCHW = torch.from_numpy(np.stack([line.image_HW for line in lines])[:, None])
    return LineBatch(
        images_BCHW,
        torch.full((len(lines),), images_BCHW.shape[-1]),
        tuple(line.text for line in lines),
        tuple(line.id for line in lines),
        tuple(line.level for line in lines),
    )


Batches = DataLoader[Any]
"""A torch loader that gives `LineBatch`es (its own type parameter is that of one item)."""


def batch_loader(dataset: LineDataset, batches: WidthBatches, workers: int = 0) -> Batches:
    """Return a loader of `batches` with `workers` processes; 0 loads in this process."""
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers)


def frame_batches(lines: pd.DataFrame, how: Preprocessing, batch_size: int) -> Batches:
    """All lines of a table once, as they are, in batches of one width."""
    items = plan_items(lines, 0.0, 0)
    dataset = LineDataset(lines, items, how, None, 0)
    batches = WidthBatches(item_widths(lines, items, how), batch_size)
    return batch_loader(dataset, batches)
