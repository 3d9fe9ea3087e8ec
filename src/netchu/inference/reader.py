"""From photos to text: find the lines, prepare, run the network, decode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.decoding.readings import LineReading, PhotoReading
from netchu.imaging.images import Grey
from netchu.imaging.photos import Source, read_photo
from netchu.imaging.preparation import prepare, prepared_width
from netchu.inference.exported_model import SHIPPED, ExportedModel, decoder
from netchu.inference.postprocessing import (
    Box,
    line_reading,
    mean_confidence,
    photo_reading,
    turned_back,
)
from netchu.inference.segmentation import cut, find_lines

LONGEST_LINE = 32_768
"""Prepared pixels; a longer line is squeezed."""

BATCH_WIDTH = 16_384
"""Prepared pixels, over all lines, that go through the network at once."""

HELD_PIXELS = 2**26
"""Pixels of photos that wait until their lines are read together."""

DOUBTFUL = 0.85
"""Below this mean_confidence a photo is read upside down as well, and the surer reading taken.

Of 180 validation lines and 12 paragraphs turned upside down none reached it; the surer reading was
the upright one of all but one. So what a higher value costs is time alone.
"""


@dataclass(frozen=True)
class _Line:
    """A line to be read: its pixels, and the box from which they come."""

    crop_HW: Grey
    box: Box


@dataclass(frozen=True)
class _Page:
    """A photo whose lines are found."""

    photo_HW: Grey
    lines: tuple[_Line, ...]


class Reader:
    """Reads photos of Vietnamese handwriting. Threads may share it."""

    def __init__(
        self, model: str | Path | None = None, *, threads: int = 1, greedy: bool = False
    ) -> None:
        """Load the exported model in a folder, or the one that comes with the package.

        `threads` is the number of cores that the network may use. With `greedy` the network reads
        alone, without the language model that may lie beside it.

        Raises:
            NetchuError: there is no exported model, or it is damaged.
        """
        self.model = ExportedModel(SHIPPED if model is None else Path(model), threads)
        how = self.model.preprocessing
        self._how = replace(how, max_width=min(how.max_width or LONGEST_LINE, LONGEST_LINE))
        self._codec = Codec(self.model.alphabet)
        self._decode, self._scale = decoder(self.model, greedy)

    def read(self, source: Source, *, line: bool = False) -> PhotoReading:
        """Read one photo; with `line` all of it is one line, the right way up.

        A photo that is hard to read is also read upside down, and the surer reading taken.

        Raises:
            NetchuError: it is no photo, or one too large.
        """
        (reading,) = self.read_many([source], line=line)
        if isinstance(reading, NetchuError):
            raise reading
        return reading

    def read_many(
        self, sources: Iterable[Source], *, line: bool = False, batch: int = 16
    ) -> Iterator[PhotoReading | NetchuError]:
        """Read photos in their order, `batch` of them at a time; of a bad one give the error."""
        waiting: list[_Page | NetchuError] = []
        held = 0
        for source in sources:
            try:
                photo_HW = read_photo(source)
                waiting.append(_whole(photo_HW) if line else _cut_up(photo_HW))
                held += photo_HW.size
            except NetchuError as error:
                waiting.append(error)
            if len(waiting) >= batch or held >= HELD_PIXELS:
                yield from self._read(waiting, line, batch)
                waiting, held = [], 0
        yield from self._read(waiting, line, batch)

    def _read(
        self, pages: Sequence[_Page | NetchuError], line: bool, batch: int
    ) -> list[PhotoReading | NetchuError]:
        """Readings of pages, errors left where they are."""
        good = [page for page in pages if isinstance(page, _Page)]
        readings = self._transcribe(good, batch)
        if not line:
            for place, page in enumerate(good):
                readings[place] = self._upright(page, readings[place], batch)
        rest = iter(readings)
        return [next(rest) if isinstance(page, _Page) else page for page in pages]

    def _upright(self, page: _Page, reading: PhotoReading, batch: int) -> PhotoReading:
        """The reading, or that of the page upside down where it is surer."""
        if not page.lines or mean_confidence(reading) >= DOUBTFUL:
            return reading
        turned_HW = np.ascontiguousarray(page.photo_HW[::-1, ::-1])
        (other,) = self._transcribe([_cut_up(turned_HW)], batch)
        if mean_confidence(other) <= mean_confidence(reading):
            return reading
        return turned_back(other)

    def _transcribe(self, pages: Sequence[_Page], batch: int) -> list[PhotoReading]:
        """Read all lines of the pages, equally wide ones together."""
        places = [(p, n) for p, page in enumerate(pages) for n in range(len(page.lines))]
        widths = {(p, n): self._width(pages[p].lines[n]) for p, n in places}
        readings: dict[tuple[int, int], LineReading] = {}
        for width, equal in groupby(sorted(places, key=widths.__getitem__), widths.__getitem__):
            waiting = list(equal)
            most = max(1, min(batch, BATCH_WIDTH // width))
            for at in range(0, len(waiting), most):
                chosen = waiting[at : at + most]
                lines = [pages[p].lines[n] for p, n in chosen]
                readings |= zip(chosen, self._read_lines(lines), strict=True)
        return [
            photo_reading([readings[p, n] for n in range(len(page.lines))], page.photo_HW.shape)
            for p, page in enumerate(pages)
        ]

    def _width(self, line: _Line) -> int:
        height, width = line.crop_HW.shape
        return prepared_width(width, height, self._how)

    def _read_lines(self, lines: Sequence[_Line]) -> list[LineReading]:
        """Read lines of one prepared width."""
        images_BHW = np.stack([prepare(line.crop_HW, self._how) for line in lines])
        return [
            line_reading(
                self._decode(probabilities_TV), self._codec, line.box, self._step(line), self._scale
            )
            for probabilities_TV, line in zip(
                self.model.probabilities(images_BHW), lines, strict=True
            )
        ]

    def _step(self, line: _Line) -> float:
        """Pixels of the photo for each time step."""
        height, width = line.crop_HW.shape
        shrunk = min(self._how.height / height, self._how.max_width / width)
        return float(self.model.step / shrunk)


def _whole(photo_HW: Grey) -> _Page:
    """A photo that is one line."""
    height, width = photo_HW.shape
    return _Page(photo_HW, (_Line(photo_HW, (0, 0, width, height)),))


def _cut_up(photo_HW: Grey) -> _Page:
    """A photo and the lines that are found in it."""
    lines = [
        _Line(cut(photo_HW, box), (box.left, box.top, box.right, box.bottom))
        for box in find_lines(photo_HW)
    ]
    return _Page(photo_HW, tuple(lines))
