"""From photos to text: segment into lines, prepare, run the network, decode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.decoding.greedy import Emission
from netchu.imaging.images import Grey
from netchu.imaging.photos import PhotoSource, list_pages, load_photo, photo_name
from netchu.imaging.polarity import with_dark_ink
from netchu.imaging.preparation import prepare, prepared_width
from netchu.inference.exported_model import SHIPPED_MODEL, ExportedModel, make_decoder
from netchu.inference.postprocessing import (
    build_line_reading,
    build_photo_reading,
    character_boundaries,
    insert_spaces,
    mean_confidence,
    rotate_reading,
    scale_reading,
)
from netchu.inference.results import Box, LineReading, PhotoReading
from netchu.inference.segmentation.ink import has_ink, runs_down
from netchu.inference.segmentation.line_boxes import crop_line, segment, segment_single_line
from netchu.inference.word_gaps import move_to_paper

MAX_LINE_WIDTH = 32_768
"""Prepared pixels; a longer line is squeezed to this width."""

MAX_BATCH_WIDTH = 16_384
"""Prepared pixels that go through the network at once, summed over the lines."""

MAX_WAITING_PIXELS = 2**26
"""Pixels of photos that are held until their lines are read as a batch."""

ROTATION_THRESHOLD = 0.85
"""A photo with a lower mean confidence is also read upside down, and turned by quarters if its
ink seems to run up or down.

Of 180 validation lines and 12 paragraphs that were rotated by 180 degrees none reached it, and the
reading with the higher mean confidence was the upright one for all but one. A higher value would
only cost time.
"""

MIN_TURN_GAIN = 0.05
"""A turned reading replaces the upright one only if its mean confidence is higher by this much.

Upside down, validation lines lose 0.10 to 0.45, but for one, which is written so that both readings
have the same.
"""

MAX_LINES = 1_000
"""A photo with more lines is an error; the fields of a table count one by one."""

MAX_TRIAL_LINES = 32
"""Lines of a turned photo that are read to find out whether it reads better."""

FIELD_GAP = 1.25
"""Paper between two fields on one row, in line heights; a space goes into every wider gap."""


@dataclass(frozen=True)
class _LineCrop:
    """The pixels of a line and its box in the photo."""

    crop_HW: Grey
    box: Box


@dataclass(frozen=True)
class _SegmentedPhoto:
    """A photo, its lines, and the boxes of ink that is in none."""

    photo_HW: Grey
    lines: tuple[_LineCrop, ...]
    unread: tuple[Box, ...]


class Reader:
    """Reads photos of Vietnamese handwriting. Safe to share between threads.

    A pickled reader holds the path of its model, not the weights: processes of a pool load it.
    """

    def __init__(
        self, model: str | Path | None = None, *, threads: int = 1, greedy: bool = False
    ) -> None:
        """Load a model.

        Args:
            model: folder of an exported model; None loads the one that comes with the package.
            threads: number of cores that the network may use.
            greedy: decode without the language model.

        Raises:
            NetchuError: the folder has no exported model, or a damaged one.
        """
        self._arguments = (None if model is None else Path(model).absolute(), threads, greedy)
        self.model = ExportedModel(SHIPPED_MODEL if model is None else Path(model), threads)
        preprocessing = self.model.preprocessing
        max_width = min(preprocessing.max_width or MAX_LINE_WIDTH, MAX_LINE_WIDTH)
        self._preprocessing = replace(preprocessing, max_width=max_width)
        self._codec = Codec(self.model.alphabet)
        self._space = self._codec.encode(" ")[0] if " " in self.model.alphabet else None
        self._decode, self._line_scaling = make_decoder(self.model, greedy)

    def __reduce__(self) -> tuple[Callable[..., Reader], tuple[Path | None, int, bool]]:
        return _load_reader, self._arguments

    def read(self, source: PhotoSource, *, line: bool = False) -> PhotoReading:
        """Read one photo.

        A photo with a low mean confidence is also read in other directions, and the best reading
        is returned.

        Args:
            source: path, encoded bytes, array or Pillow image.
            line: the whole photo is one line, the right way up.

        Raises:
            NetchuError: the source is not a photo, or one that is too large.
        """
        (reading,) = self.read_many([source], line=line)
        if isinstance(reading, NetchuError):
            raise reading
        return reading

    def read_many(
        self, sources: Iterable[PhotoSource], *, line: bool = False, batch: int = 16
    ) -> Iterator[PhotoReading | NetchuError]:
        """Read photos in order, `batch` of them at a time.

        A photo that cannot be read yields its error and does not stop the others.
        """
        waiting: list[_SegmentedPhoto | NetchuError] = []
        sizes: list[tuple[int, int]] = []
        waiting_pixels = 0
        for source in sources:
            try:
                photo = load_photo(source)
                photo_HW = with_dark_ink(photo.pixels_HW)
                segmented = _segment(photo_HW, line)
                if len(segmented.lines) > MAX_LINES:
                    raise NetchuError(f"{photo_name(source)}: more than {MAX_LINES} lines; crop it")
                waiting.append(segmented)
                waiting_pixels += photo_HW.size
                sizes.append(photo.size)
            except NetchuError as error:
                waiting.append(error)
                sizes.append((0, 0))
            if len(waiting) >= batch or waiting_pixels >= MAX_WAITING_PIXELS:
                yield from self._read_batch(waiting, sizes, line, batch)
                waiting, sizes, waiting_pixels = [], [], 0
        yield from self._read_batch(waiting, sizes, line, batch)

    def read_pages(
        self, source: str | Path | bytes, *, line: bool = False
    ) -> Iterator[PhotoReading | NetchuError]:
        """Read all pages of a TIFF or PDF file, in order; any other file is one page."""
        return self.read_many(list_pages(source), line=line)

    def _read_batch(
        self,
        items: Sequence[_SegmentedPhoto | NetchuError],
        sizes: Sequence[tuple[int, int]],
        line: bool,
        batch: int,
    ) -> list[PhotoReading | NetchuError]:
        """Replace each photo by its reading in pixels of its size; errors stay where they are."""
        photos = [item for item in items if isinstance(item, _SegmentedPhoto)]
        readings = self._transcribe(photos, batch)
        if not line:
            for i, photo in enumerate(photos):
                readings[i] = self._try_rotated(photo, readings[i], batch)
        rest = iter(readings)
        return [
            scale_reading(next(rest), size) if isinstance(item, _SegmentedPhoto) else item
            for item, size in zip(items, sizes, strict=True)
        ]

    def _try_rotated(
        self, photo: _SegmentedPhoto, reading: PhotoReading, batch: int
    ) -> PhotoReading:
        """Return the reading, or that of the rotated photo with the highest mean confidence.

        The rotated one has to gain at least `MIN_TURN_GAIN`, since most photos are upright.
        Quarter turns are tried only if the ink seems to run up or down the photo, and not where one
        row of writing was found: widely spaced letters, turned, would be a column of short lines.
        Of a photo with many lines some are tried first: texture has hundreds in all directions.
        """
        best, confidence = reading, mean_confidence(reading)
        if confidence >= ROTATION_THRESHOLD:
            return reading
        confidence += MIN_TURN_GAIN
        quarters = () if _is_one_row(photo) or not runs_down(photo.photo_HW) else (1, 3)
        for turns in (2, *quarters) if photo.lines else quarters:
            rotated_HW = np.ascontiguousarray(np.rot90(photo.photo_HW, turns))
            rotated = _segment(rotated_HW, line=False)
            step = -(-len(rotated.lines) // MAX_TRIAL_LINES) or 1
            (other,) = self._transcribe([replace(rotated, lines=rotated.lines[::step])], batch)
            if mean_confidence(other) > confidence and step > 1:
                (other,) = self._transcribe([rotated], batch)
            if mean_confidence(other) > confidence:
                best, confidence = rotate_reading(other, turns), mean_confidence(other)
        return best

    def _transcribe(self, photos: Sequence[_SegmentedPhoto], batch: int) -> list[PhotoReading]:
        """Read the lines of all photos, those of the same prepared width in batches."""
        keys = [(p, n) for p, photo in enumerate(photos) for n in range(len(photo.lines))]
        widths = {(p, n): self._prepared_width(photos[p].lines[n]) for p, n in keys}
        readings: dict[tuple[int, int], LineReading] = {}
        for width, group in groupby(sorted(keys, key=widths.__getitem__), widths.__getitem__):
            same_width = list(group)
            size = max(1, min(batch, MAX_BATCH_WIDTH // width))
            for begin in range(0, len(same_width), size):
                selected = same_width[begin : begin + size]
                lines = [photos[p].lines[n] for p, n in selected]
                readings |= zip(selected, self._read_lines(lines), strict=True)
        photo_readings = []
        for p, photo in enumerate(photos):
            found = [readings[p, n] for n in range(len(photo.lines))]
            unread = (*photo.unread, *_without_text(photo, found))
            photo_readings.append(build_photo_reading(found, photo.photo_HW.shape, unread))
        return photo_readings

    def _prepared_width(self, line: _LineCrop) -> int:
        height, width = line.crop_HW.shape
        return prepared_width(width, height, self._preprocessing)

    def _read_lines(self, lines: Sequence[_LineCrop]) -> list[LineReading]:
        """Read lines of the same prepared width."""
        images_BHW = np.stack([prepare(line.crop_HW, self._preprocessing) for line in lines])
        probabilities_BTV = self.model.probabilities(images_BHW)
        return [
            self._line_reading(line, image_HW, self._decode(probabilities_TV))
            for line, image_HW, probabilities_TV in zip(
                lines, images_BHW, probabilities_BTV, strict=True
            )
        ]

    def _line_reading(
        self, line: _LineCrop, image_HW: NDArray[np.float32], emissions: Sequence[Emission]
    ) -> LineReading:
        """Return the reading of a line, with spaces in gaps that are wider than `FIELD_GAP`."""
        step = self.model.step
        if self._space is not None:
            gap = FIELD_GAP * self._preprocessing.height / step
            emissions = insert_spaces(emissions, self._space, gap)
        boundaries = character_boundaries(emissions)
        if self._space is not None:
            boundaries = move_to_paper(boundaries, emissions, self._space, image_HW, step)
        return build_line_reading(
            emissions, boundaries, self._codec, line.box, self._photo_step(line),
            self._line_scaling,
        )  # fmt: skip

    def _photo_step(self, line: _LineCrop) -> float:
        """Return the pixels of the photo per time step."""
        height, width = line.crop_HW.shape
        scale = min(self._preprocessing.height / height, self._preprocessing.max_width / width)
        return float(self.model.step / scale)


def _load_reader(model: Path | None, threads: int, greedy: bool) -> Reader:
    return Reader(model, threads=threads, greedy=greedy)


def _is_one_row(photo: _SegmentedPhoto) -> bool:
    """Return whether all lines that were found are on one row, which is wider than high."""
    if not photo.lines:
        return False
    lefts, tops, rights, bottoms = zip(*(line.box for line in photo.lines), strict=True)
    on_one_row = max(tops) < min(bottoms)
    return bool(on_one_row and max(rights) - min(lefts) > max(bottoms) - min(tops))


def _without_text(photo: _SegmentedPhoto, readings: Sequence[LineReading]) -> list[Box]:
    """Return the boxes of lines that have ink but were read as no text."""
    return [
        line.box
        for line, reading in zip(photo.lines, readings, strict=True)
        if not reading.text and has_ink(line.crop_HW)
    ]


def _segment(photo_HW: Grey, line: bool) -> _SegmentedPhoto:
    """Cut out the lines, or the only one with `line`."""
    found = segment_single_line(photo_HW) if line else segment(photo_HW)
    crops = tuple(_LineCrop(crop_line(photo_HW, box), box.bounds) for box in found.lines)
    return _SegmentedPhoto(photo_HW, crops, found.unread)
