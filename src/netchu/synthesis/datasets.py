"""Synthetic lines: a text, a hand that writes it, a photo of the paper.

Each line is drawn from its own random generator, seeded by (seed, kind, index), so any number of
processes, in any order, makes the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.params import Params, SyntheticParams
from netchu.data.line_table import SPLITS, Line, Skipped
from netchu.data.preprocessing import split_lines
from netchu.data.parse.fonts import families, missing
from netchu.data.splits import split_writers
from netchu.imaging.images import Grey, decode
from netchu.synthesis import fonts
from netchu.synthesis.handwriting import Scribes, Written
from netchu.synthesis.paper import Sheets, photograph
from netchu.synthesis.texts import Writer, writer_of_text
from netchu.synthesis.writers import read_scribes

if TYPE_CHECKING:
    from netchu.synthesis.copies import Copies

SHEETS = 200
"""Papers taken from photos: more would look no more varied."""


@dataclass(frozen=True)
class Drawing:
    """What became of one line number. ways: how many of its words came to be in which way."""

    line: Line | Skipped
    ways: Mapping[str, int] = field(default_factory=dict)


class Hand(Protocol):
    """Someone who writes."""

    def write(self, text: str, split: str, rng: np.random.Generator) -> Written | str:
        """`text` as ink by a writer of `split`, or the reason why it cannot be written."""


@dataclass(frozen=True)
class FontHand:
    """Font families as writers. names: the families of each split; files: of each family."""

    names: Mapping[str, Sequence[str]]
    files: Mapping[str, Sequence[Path]]
    height: int
    distortion: float

    def write(self, text: str, split: str, rng: np.random.Generator) -> Written | str:
        family = self.names[split][int(rng.integers(len(self.names[split])))]
        font = self.files[family][int(rng.integers(len(self.files[family])))]
        if lacks := missing(text, font):
            return f"font {family} lacks {lacks!r}"
        ink_HW = fonts.write(text, font, self.height, rng, self.distortion)
        return Written(ink_HW, family, {})


@dataclass(frozen=True)
class InkHand:
    """The pen strokes of real writers."""

    scribes: Scribes
    height: int
    distortion: float

    def write(self, text: str, split: str, rng: np.random.Generator) -> Written | str:
        return self.scribes.write(text, self.height, rng, self.distortion)


class Kind(Protocol):
    """What the executors need of a kind of lines."""

    def draw(self, index: int) -> Drawing:
        """Line number `index`, or why there is none."""


@dataclass(frozen=True)
class Studio:
    """All that is needed to draw line number `index`, in this process or in another."""

    kind: str
    seed: int
    params: SyntheticParams
    text: Writer
    hand: Hand
    sheets: Sheets | None
    shares: tuple[float, ...]

    def draw(self, index: int) -> Drawing:
        """Line `index`; skipped where its hand cannot write its text."""
        rng, name = _lot(self.seed, self.kind, index)
        split = SPLITS[int(rng.choice(len(SPLITS), p=self.shares))]
        text = self.text(rng)
        written = self.hand.write(text, split, rng)
        if isinstance(written, str):
            return Drawing(Skipped(name, written))
        height, distortion = self.params.height, self.params.distortion
        image = photograph(written.ink, height, rng, distortion, self.sheets)
        line = Line(
            id=name,
            image=_encode(image, rng, distortion),
            text=text,
            writer=written.writer,
            source=self.kind,
            level="line" if " " in text else "word",
            split=split,
            width=image.shape[1],
            height=image.shape[0],
        )
        return Drawing(line, written.ways)


@dataclass(frozen=True)
class CopyStudio:
    """Distorted copies of training lines."""

    kind: str
    seed: int
    params: SyntheticParams
    copies: Copies

    def draw(self, index: int) -> Drawing:
        """Copy number `index`."""
        rng, name = _lot(self.seed, self.kind, index)
        height, distortion = self.params.height, self.params.distortion
        return Drawing(self.copies.draw(index, rng, name, distortion, height))


def _lot(seed: int, kind: str, index: int) -> tuple[np.random.Generator, str]:
    """The random generator and the id of a line."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
    return rng, f"{kind}-{index:07d}"


def _encode(image_HW: Grey, rng: np.random.Generator, distortion: float) -> bytes:
    """JPEG, as phones do: the worse the photo, the more it may be compressed."""
    quality = int(rng.integers(95 - round(55 * distortion), 96))
    _, encoded = cv2.imencode(".jpg", image_HW, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def open_studio(params: Params, kind: str) -> Kind:
    """Open all that the kind needs, from the profile's data folders.

    Raises:
        NetchuError: parameters that do not fit one another or the fonts and datasets that are
            there: an unknown split, family or dataset, a family in two splits, a share without
            fonts, a distortion or size out of range.
    """
    wanted = params.synthetic_dataset(kind)
    _check_ranges(wanted, kind)
    if wanted.renderer == "copy":
        from netchu.synthesis.copies import Copies  # it loads torch, which the others do without

        lines = list(_training_lines(params, _named(wanted.datasets, kind, "copies")))
        return CopyStudio(kind, params.seed, wanted, Copies(lines))
    hand: Hand
    shares: tuple[float, ...] = (1.0, 0.0, 0.0)
    if wanted.renderer == "ink":  # other splits would need writers who are held out
        hand = InkHand(_scribes(params, wanted, kind), wanted.height, wanted.distortion)
    else:
        files = families(params.raw / "fonts")
        shares = _check_fonts(wanted, files, kind)
        hand = FontHand(wanted.fonts, files, wanted.height, wanted.distortion)
    text = writer_of_text(wanted, Path(wanted.corpus) if wanted.corpus else None)
    sheets = _sheets(params, wanted) if wanted.papers else None
    return Studio(kind, params.seed, wanted, text, hand, sheets, shares)


def _check_ranges(wanted: SyntheticParams, kind: str) -> None:
    if not 0 <= wanted.distortion <= 1:
        raise NetchuError(f"{kind}: distortion {wanted.distortion} is not between 0 and 1; mend it")
    if wanted.count < 1 or wanted.height < 16:
        raise NetchuError(f"{kind}: count must be 1 or more, and height 16 or more")
    if not wanted.text and wanted.renderer != "copy":
        raise NetchuError(f"{kind}: text is missing; set it to syllable, address or verse")


def _check_fonts(
    wanted: SyntheticParams, files: Mapping[str, Sequence[Path]], kind: str
) -> tuple[float, ...]:
    """The share of each split, checked against the fonts; they sum up to 1."""
    if unknown := sorted((set(wanted.fonts) | set(wanted.shares)) - set(SPLITS)):
        raise NetchuError(f"{kind}: unknown split {unknown[0]!r}; use {', '.join(SPLITS)}")
    named = [family for names in wanted.fonts.values() for family in names]
    if unknown := sorted(set(named) - set(files)):
        raise NetchuError(f"{kind}: unknown font {unknown[0]!r}; there are: {', '.join(files)}")
    if twice := sorted({family for family in named if named.count(family) > 1}):
        raise NetchuError(f"{kind}: font {twice[0]} is named twice; give it to one split")
    shares = np.array([wanted.shares.get(split, 0.0) for split in SPLITS])
    for split, share in zip(SPLITS, shares, strict=True):
        if share < 0 or (share and not wanted.fonts.get(split)):
            raise NetchuError(f"{kind}: {split} has share {share} and no fonts; name some or set 0")
    if not shares.sum():
        raise NetchuError(f"{kind}: all shares are 0; give one split a share")
    return tuple((shares / shares.sum()).tolist())


def _named(datasets: Sequence[str], kind: str, what: str) -> Sequence[str]:
    if not datasets:
        raise NetchuError(f"{kind}: {what} need datasets; name those whose training lines serve")
    return datasets


def _training_lines(params: Params, datasets: Sequence[str]) -> Iterator[Line]:
    """The training lines of the named datasets, split as preprocessing splits them."""
    for name in datasets:
        lines = split_lines(params.dataset(name), name, params.seed, [])
        yield from (line for line in lines if line.split == "train")


def _scribes(params: Params, wanted: SyntheticParams, kind: str) -> Scribes:
    """The hands of the training writers of one dataset of pen strokes."""
    names = _named(wanted.datasets, kind, "pen strokes")
    dataset = params.dataset(names[0])
    if len(names) > 1 or dataset.source != "vnondb":
        raise NetchuError(f"{kind}: pen strokes come from one dataset of vnondb; name that alone")

    def is_training(writers: set[str]) -> set[str]:
        splits = split_writers(writers, dataset, params.seed)
        return {writer for writer in writers if splits[writer] == "train"}

    return Scribes(read_scribes(Path(dataset.input), is_training))


def _sheets(params: Params, wanted: SyntheticParams) -> Sheets:
    """Papers from photos drawn by lot among the training lines of the named datasets."""
    lines = list(_training_lines(params, wanted.papers))
    rng = np.random.default_rng([params.seed, zlib.crc32(b"papers")])
    chosen = [lines[i] for i in sorted(rng.permutation(len(lines))[:SHEETS])]
    photos = (decode(line.image, f"line {line.id}") for line in chosen)
    return Sheets.from_photos(photos, wanted.height, count=SHEETS)
