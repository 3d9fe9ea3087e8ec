"""Synthetic line tables: a text, a font family as its writer, a line.

Each line is drawn from its own random generator, seeded by (seed, kind, index), so any number of
processes, in any order, makes the same bytes.
"""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from netchu.errors import NetchuError
from netchu.images import Grey
from netchu.lines import SPLITS, Line, Skipped
from netchu.params import SyntheticParams
from netchu.sources.fonts import families, missing
from netchu.synth.fonts import render
from netchu.synth.text import Writer, writer_of_text

CHUNK = 64


@dataclass(frozen=True)
class Studio:
    """All that is needed to draw line number `index`, in this process or in another."""

    kind: str
    seed: int
    params: SyntheticParams
    files: dict[str, list[Path]]
    text: Writer
    shares: tuple[float, ...]

    def draw(self, index: int) -> Line | Skipped:
        """Line `index`; skipped where its font lacks a letter of its text."""
        rng = np.random.default_rng([self.seed, zlib.crc32(self.kind.encode()), index])
        name = f"{self.kind}-{index:07d}"
        split = SPLITS[int(rng.choice(len(SPLITS), p=self.shares))]
        names = self.params.fonts[split]
        family = names[int(rng.integers(len(names)))]
        files = self.files[family]
        font = files[int(rng.integers(len(files)))]
        text = self.text(rng)
        if lacks := missing(text, font):
            return Skipped(name, f"font {family} lacks {lacks!r}")
        image = render(text, font, self.params.height, rng, self.params.difficulty)
        return Line(
            id=name,
            image=_encode(image, rng, self.params.difficulty),
            text=text,
            writer=family,
            source=self.kind,
            level="line" if " " in text else "word",
            split=split,
            width=image.shape[1],
            height=image.shape[0],
        )


def _encode(image_HW: Grey, rng: np.random.Generator, difficulty: float) -> bytes:
    """JPEG, as phones do: the worse the photo, the more it may be compressed."""
    quality = int(rng.integers(95 - round(55 * difficulty), 96))
    _, encoded = cv2.imencode(".jpg", image_HW, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def open_studio(
    params: SyntheticParams, fonts: Path, corpus: Path | None, seed: int, kind: str
) -> Studio:
    """Check the parameters against the fonts that are there.

    Raises:
        NetchuError: an unknown split or family, a family in two splits, a share without fonts, a
            difficulty or size out of range.
    """
    if not 0 <= params.difficulty <= 1:
        raise NetchuError(f"{kind}: difficulty {params.difficulty} is not between 0 and 1; mend it")
    if params.count < 1 or params.height < 16:
        raise NetchuError(f"{kind}: count must be 1 or more, and height 16 or more")
    files = families(fonts)
    if unknown := sorted((set(params.fonts) | set(params.shares)) - set(SPLITS)):
        raise NetchuError(f"{kind}: unknown split {unknown[0]!r}; use {', '.join(SPLITS)}")
    named = [family for names in params.fonts.values() for family in names]
    if unknown := sorted(set(named) - set(files)):
        raise NetchuError(f"{kind}: unknown font {unknown[0]!r}; there are: {', '.join(files)}")
    if twice := sorted({family for family in named if named.count(family) > 1}):
        raise NetchuError(f"{kind}: font {twice[0]} is named twice; give it to one split")
    shares = np.array([params.shares.get(split, 0.0) for split in SPLITS])
    for split, share in zip(SPLITS, shares, strict=True):
        if share < 0 or (share and not params.fonts.get(split)):
            raise NetchuError(f"{kind}: {split} has share {share} and no fonts; name some or set 0")
    if not shares.sum():
        raise NetchuError(f"{kind}: all shares are 0; give one split a share")
    text = writer_of_text(params, corpus)
    return Studio(kind, seed, params, files, text, tuple(shares / shares.sum()))


_studio: Studio | None = None


def _open_in_worker(
    params: SyntheticParams, fonts: Path, corpus: Path | None, seed: int, kind: str
) -> None:
    global _studio
    cv2.setNumThreads(1)
    _studio = open_studio(params, fonts, corpus, seed, kind)


def _draw_in_worker(index: int) -> Line | Skipped:
    assert _studio is not None
    return _studio.draw(index)


def synthesize(
    params: SyntheticParams,
    fonts: Path,
    corpus: Path | None,
    seed: int,
    kind: str,
    processes: int = 1,
) -> Iterator[Line | Skipped]:
    """Draw `params.count` lines in order; the same bytes for any number of processes."""
    studio = open_studio(params, fonts, corpus, seed, kind)
    if processes == 1:
        yield from map(studio.draw, range(params.count))
        return
    arguments = (params, fonts, corpus, seed, kind)
    with multiprocessing.get_context("spawn").Pool(processes, _open_in_worker, arguments) as pool:
        yield from pool.imap(_draw_in_worker, range(params.count), chunksize=CHUNK)
