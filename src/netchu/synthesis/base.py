"""What generators of lines and renderers of text have in common."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from netchu.data.line_table import Line, Skipped
from netchu.imaging.strokes import Ink


@dataclass(frozen=True)
class GeneratedLine:
    """The result for one line number.

    Args:
        line: the line, or why there is none.
        word_sources: number of words by how they were made (see `stroke_renderer`).
    """

    line: Line | Skipped
    word_sources: Mapping[str, int] = field(default_factory=dict)


class LineGenerator(Protocol):
    """Generates the lines of one synthetic dataset; it can be pickled."""

    @property
    def text_counts(self) -> Mapping[str, int]:
        """Number of texts that it may draw from, and of those left out, by reason."""

    def generate(self, index: int) -> GeneratedLine:
        """Return line number `index`; it depends on nothing but the number."""


class RenderedText(NamedTuple):
    """A text as ink.

    Args:
        ink_HW: the ink.
        writer: name of the font family or of the person.
        word_sources: number of words by how they were made.
    """

    ink_HW: Ink
    writer: str
    word_sources: Mapping[str, int]


class Renderer(Protocol):
    """Turns text into ink."""

    def render(
        self, text: str, split: str, height: int, rng: np.random.Generator, distortion: float
    ) -> RenderedText | str:
        """Return `text` as ink, or the reason why it cannot be written.

        Args:
            text: normalised text of one line.
            split: the split whose writers may write it.
            height: height of the photo in which the ink will appear, pixels.
            rng: source of randomness.
            distortion: how strongly the shapes are distorted, from 0 to 1.
        """


def line_rng_and_id(seed: int, dataset: str, index: int) -> tuple[np.random.Generator, str]:
    """Return the random generator of a line of a synthetic dataset, and the line's id."""
    rng = np.random.default_rng([seed, zlib.crc32(dataset.encode()), index])
    return rng, f"{dataset}-{index:07d}"
