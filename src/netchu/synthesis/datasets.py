"""Generators of synthetic datasets: a text, a renderer, a simulated photo.

Each line has its own random generator, seeded by (seed, dataset name, line number), so any number
of processes gives the same bytes in any order.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.params import Params, SyntheticParams
from netchu.data.held_out import held_out_of_inputs
from netchu.data.line_table import SPLITS, Line, Skipped
from netchu.data.parse.fonts import font_families
from netchu.data.preprocessing import split_lines
from netchu.data.published_splits import published_split
from netchu.data.splits import split_writers
from netchu.data.stored_frames import frame_parts, store_frames
from netchu.data.stored_lines import StoredLines
from netchu.imaging.images import Grey, decode
from netchu.synthesis.base import GeneratedLine, LineGenerator, Renderer, line_rng_and_id
from netchu.synthesis.copies import CopyGenerator
from netchu.synthesis.font_renderer import FontRenderer
from netchu.synthesis.paper import PaperTextures, simulate_photo
from netchu.synthesis.stroke_renderer import StrokeRenderer
from netchu.synthesis.texts import TextGenerator, make_text_generator
from netchu.synthesis.writers import read_writers

MAX_PAPERS = 200
"""Paper textures taken from photos; more would add little variety."""


@dataclass(frozen=True)
class RenderedLineGenerator:
    """Generates lines by rendering generated texts.

    Args:
        dataset: name of the synthetic dataset.
        seed: random seed.
        params: parameters of the synthetic dataset.
        text: generates the texts.
        renderer: turns texts into ink.
        textures: papers taken from photos, to use beside generated ones.
        shares: probability of each of `SPLITS`.
    """

    dataset: str
    seed: int
    params: SyntheticParams
    text: TextGenerator
    renderer: Renderer
    textures: PaperTextures | None
    shares: tuple[float, ...]

    @property
    def text_counts(self) -> Mapping[str, int]:
        """Counts of the texts of its corpora."""
        return self.text.counts

    def generate(self, index: int) -> GeneratedLine:
        """Return line number `index`; skipped if the renderer cannot write its text."""
        rng, name = line_rng_and_id(self.seed, self.dataset, index)
        split = SPLITS[int(rng.choice(len(SPLITS), p=self.shares))]
        text = self.text(rng)
        height, distortion = self.params.height, self.params.distortion
        rendered = self.renderer.render(text, split, height, rng, distortion)
        if isinstance(rendered, str):
            return GeneratedLine(Skipped(name, rendered))
        image = simulate_photo(rendered.ink_HW, height, rng, distortion, self.textures)
        line = Line(
            id=name,
            image=_encode_jpeg(image, rng, distortion),
            text=text,
            writer=rendered.writer,
            source=self.dataset,
            level="line" if " " in text else "word",
            split=split,
            width=image.shape[1],
            height=image.shape[0],
        )
        return GeneratedLine(line, rendered.word_sources)


def _encode_jpeg(image_HW: Grey, rng: np.random.Generator, distortion: float) -> bytes:
    """Return the image as JPEG; the larger the distortion, the lower the quality may be."""
    quality = int(rng.integers(95 - round(55 * distortion), 96))
    _, encoded = cv2.imencode(".jpg", image_HW, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def make_line_generator(params: Params, name: str) -> LineGenerator:
    """Return the generator of synthetic dataset `name`, with fonts, strokes and papers loaded.

    Raises:
        NetchuError: parameters that contradict one another or the fonts and datasets: an unknown
            split, family or dataset, a family in two splits, a share without fonts.
    """
    wanted = params.synthetic_dataset(name)
    if not wanted.text and wanted.renderer != "copy":
        raise NetchuError(f"{name}: text is missing; set it to one of its values")
    if wanted.renderer == "copy":
        lines = _training_lines(params, _required(wanted.datasets, name, "copies"))
        return CopyGenerator(
            name, params.seed, lines, wanted.height, wanted.distortion, wanted.binarised
        )
    renderer: Renderer
    if wanted.renderer == "ink":
        renderer = _stroke_renderer(params, wanted, name)
        shares: tuple[float, ...] = (1.0, 0.0, 0.0)  # other splits would need held-out writers
    else:
        files = font_families(params.raw / "fonts")
        shares = _check_fonts(wanted, files, name)
        renderer = FontRenderer(wanted.fonts, files)
    held_out = held_out_of_inputs(params) if params.must_avoid_held_out(wanted) else None
    text = make_text_generator(wanted, [Path(corpus) for corpus in wanted.corpora], held_out)
    textures = _paper_textures(params, wanted) if wanted.papers else None
    return RenderedLineGenerator(name, params.seed, wanted, text, renderer, textures, shares)


def _check_fonts(
    wanted: SyntheticParams, files: Mapping[str, Sequence[Path]], name: str
) -> tuple[float, ...]:
    """Check splits and families; return the share of each split, normalised to a sum of 1."""
    if unknown := sorted((set(wanted.fonts) | set(wanted.shares)) - set(SPLITS)):
        raise NetchuError(f"{name}: unknown split {unknown[0]!r}; use {', '.join(SPLITS)}")
    named = [family for names in wanted.fonts.values() for family in names]
    if unknown := sorted(set(named) - set(files)):
        raise NetchuError(f"{name}: unknown font {unknown[0]!r}; there are: {', '.join(files)}")
    if repeated := sorted({family for family in named if named.count(family) > 1}):
        raise NetchuError(f"{name}: font {repeated[0]} is named twice; give it to one split")
    shares = np.array([wanted.shares.get(split, 0.0) for split in SPLITS])
    for split, share in zip(SPLITS, shares, strict=True):
        if share and not wanted.fonts.get(split):
            raise NetchuError(f"{name}: {split} has share {share} and no fonts; name some or set 0")
    if not shares.sum():
        raise NetchuError(f"{name}: all shares are 0; give one split a share")
    return tuple((shares / shares.sum()).tolist())


def _required(datasets: Sequence[str], name: str, what: str) -> Sequence[str]:
    if not datasets:
        raise NetchuError(f"{name}: {what} need datasets; name those whose training lines to use")
    return datasets


def _training_lines(params: Params, datasets: Sequence[str]) -> StoredLines:
    """Return the training lines of datasets, split as preprocessing splits them."""
    tables = (split_lines(params.dataset(name), name, params.seed, []) for name in datasets)
    return StoredLines(
        store_frames(
            part[part["split"] == "train"] for table in tables for part in frame_parts(table)
        )
    )


def _stroke_renderer(params: Params, wanted: SyntheticParams, name: str) -> StrokeRenderer:
    """Return a renderer with the training writers of one dataset of pen strokes."""
    datasets = _required(wanted.datasets, name, "pen strokes")
    dataset = params.dataset(datasets[0])
    if len(datasets) > 1 or dataset.source != "vnondb":
        raise NetchuError(f"{name}: pen strokes come from one dataset of vnondb; name that alone")

    def select_training(sessions: dict[str, str]) -> set[str]:
        if dataset.split == "published":
            splits = published_split(dataset.source)
            return {name for name in sessions if splits.get(f"vnondb-{name}") == "train"}
        by_writer = split_writers(set(sessions.values()), dataset, params.seed)
        return {name for name, writer in sessions.items() if by_writer[writer] == "train"}

    return StrokeRenderer(read_writers(Path(dataset.input), select_training))


def _paper_textures(params: Params, wanted: SyntheticParams) -> PaperTextures:
    """Return the papers of random training lines of the named datasets."""
    lines = _training_lines(params, wanted.papers)
    rng = np.random.default_rng([params.seed, zlib.crc32(b"papers")])
    drawn = [lines[i] for i in sorted(rng.permutation(len(lines))[:MAX_PAPERS])]
    photos = (decode(line.image, f"line {line.id}") for line in drawn)
    return PaperTextures.from_photos(photos, wanted.height, count=MAX_PAPERS)
