"""Boxes and crops of the lines in a photo."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.imaging.images import Grey
from netchu.inference.results import Box
from netchu.inference.segmentation.components import assign_components
from netchu.inference.segmentation.ink import (
    Affine,
    BinarisedPhoto,
    Mask,
    binarise,
    estimate_background,
)
from netchu.inference.segmentation.text_lines import Labels

MARGIN = 0.12
"""Paper around the ink of a line, in letter heights."""
ONE_LINE_HEIGHT = 2.6
"""A photo lower than this, in heights of its main line, is a photo of one line."""
MIN_SECOND_LINE_INK = 0.4
"""In a photo of one line, ink of another line below this fraction of the main line's is ignored."""
MAX_VERTICAL_OVERLAP = 0.55
"""In a photo of one line, another line that shares more of its height is part of the main line."""
MIN_CUT_LINE_HEIGHT = 0.7
"""A line that the photo's edge cuts and that is lower than this fraction of the main line's height
is the remainder of a neighbour."""
EDGE_DISTANCE = 3
"""Ink within this many pixels of the photo's edge is cut by it."""
MIN_SLOPE = 0.005
"""Lines with a smaller slope, in pixels per pixel, are not levelled."""


@dataclass(frozen=True)
class LineBox:
    """The position of a line, in pixels of the photo.

    Attributes:
        left, top, right, bottom: the box around the line, inside the photo.
        angle: degrees by which the line falls to the right.
        start: row of the photo at which the crop of the line begins on its left side.
        height: height of the crop.
        other_lines: mask of other lines' ink in the crop, None if there is none.
    """

    left: int
    top: int
    right: int
    bottom: int
    angle: float
    start: int
    height: int
    other_lines: Mask | None = field(default=None, compare=False, repr=False)

    @property
    def bounds(self) -> Box:
        """The box as left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class _LineInk:
    """The ink of a line.

    Attributes:
        number: label of the line.
        pixels: number of its pixels in the binarised photo.
        slope: pixels of the photo by which it falls per pixel to the right.
        ends: columns of the photo where it begins and ends.
        band: rows of the photo between which it lies, extrapolated to the left edge.
    """

    number: int
    pixels: int
    slope: float
    ends: tuple[float, float]
    band: tuple[float, float]

    @property
    def height(self) -> float:
        return self.band[1] - self.band[0]

    @property
    def rows(self) -> tuple[float, float]:
        """Rows of the photo between which the middle of the line lies."""
        drop = self.slope * (self.ends[0] + self.ends[1]) / 2
        return self.band[0] + drop, self.band[1] + drop

    def is_cut(self, photo_height: int) -> bool:
        """Return whether the line touches the upper or lower edge of the photo."""
        top, bottom = self.rows
        return top < EDGE_DISTANCE or bottom > photo_height - 1 - EDGE_DISTANCE

    def vertical_overlap(self, other: _LineInk) -> float:
        """Return the common height of two lines, as a fraction of the lower one."""
        (top, bottom), (upper, lower) = self.rows, other.rows
        return (min(bottom, lower) - max(top, upper)) / max(1.0, min(self.height, other.height))


def find_lines(photo_HW: Grey) -> list[LineBox]:
    """Return the lines of handwriting in a photo, in reading order; none on empty paper.

    A photo that one line fills gives one box, which is the whole photo.
    """
    binarised = binarise(photo_HW)
    labels, letter_height = assign_components(binarised.ink_HW)
    lines = _drop_remainders(_line_inks(labels, letter_height, binarised), photo_HW.shape[0])
    if not lines:
        return []
    if len(lines) == 1 and photo_HW.shape[0] < ONE_LINE_HEIGHT * lines[0].height:
        return [LineBox(0, 0, photo_HW.shape[1], photo_HW.shape[0], 0.0, 0, photo_HW.shape[0])]
    median_height = float(np.median([line.height for line in lines]))
    margin = MARGIN * letter_height / binarised.scale
    small_labels = labels.astype(np.int16)
    boxes = [(line, _box(line, median_height, margin, photo_HW)) for line in lines]
    return [
        replace(
            box,
            other_lines=_other_lines(small_labels, line.number, binarised, box, letter_height),
        )
        for line, box in boxes
    ]


def crop_line(photo_HW: Grey, box: LineBox) -> Grey:
    """Return the crop of a line, levelled, with the ink of other lines painted over.

    Columns are shifted vertically, so column c of the crop is column `box.left + c` of the photo.
    """
    width = box.right - box.left
    if not box.angle:
        crop = photo_HW[box.start : box.start + box.height, box.left : box.right]
    else:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size, border = (width, box.height), cv2.BORDER_REPLICATE
        warped = cv2.warpAffine(photo_HW, _to_photo(box)[:2], size, flags=flags, borderMode=border)
        crop = np.asarray(warped, np.uint8)
    if box.other_lines is None:
        return crop
    others = cv2.resize(box.other_lines, (width, box.height), interpolation=cv2.INTER_NEAREST)
    return np.where(others > 0, estimate_background(crop, box.height), crop)


def _to_photo(box: LineBox) -> Affine:
    """Return the map from pixels of the crop to pixels of the photo."""
    slope = np.tan(np.deg2rad(box.angle))
    return np.array([[1, 0, box.left], [slope, 1, box.start], [0, 0, 1]], np.float64)


def _line_inks(
    labels_HW: Labels, letter_height: float, binarised: BinarisedPhoto
) -> list[_LineInk]:
    y, x = np.nonzero(labels_HW)
    labels = labels_HW[y, x]
    lines = []
    for number in np.unique(labels).tolist():
        own = labels == number
        slope = binarised.slope_in_photo(_slope(x[own], y[own], letter_height))
        slope = slope if abs(slope) > MIN_SLOPE else 0.0
        across, down = binarised.in_photo(x[own], y[own])
        level = down - across * slope
        ends, band = (across.min(), across.max()), (level.min(), level.max())
        lines.append(_LineInk(number, int(own.sum()), slope, ends, band))
    return lines


def _drop_remainders(lines: list[_LineInk], photo_height: int) -> list[_LineInk]:
    """Leave out the remainders of neighbouring lines at the photo's edges.

    A photo that is as low as one line has one line, unless a second one is written below it.
    """
    if not lines:
        return []
    main = max(lines, key=lambda line: line.pixels)
    one_line = photo_height < ONE_LINE_HEIGHT * main.height

    def is_remainder(line: _LineInk) -> bool:
        cut = line.height < MIN_CUT_LINE_HEIGHT * main.height and line.is_cut(photo_height)
        return cut or (
            one_line
            and (
                line.pixels < MIN_SECOND_LINE_INK * main.pixels
                or line.vertical_overlap(main) > MAX_VERTICAL_OVERLAP
            )
        )

    return [line for line in lines if line is main or not is_remainder(line)]


def _box(line: _LineInk, median_height: float, margin: float, photo_HW: Grey) -> LineBox:
    """Return a box with a margin around a line, at least as high as the median line."""
    rows, columns = photo_HW.shape
    left = max(0, round(line.ends[0] - margin))
    right = min(columns, round(line.ends[1] + margin) + 1)
    spare = max(0.0, median_height - line.height) / 2 + margin
    start = round(line.band[0] - spare + left * line.slope)
    end = round(line.band[1] + spare + left * line.slope) + 1
    drop = round((right - 1 - left) * line.slope)
    top, bottom = max(0, start + min(0, drop)), min(rows, end + max(0, drop))
    if not line.slope:
        start, end = top, bottom
    angle = float(np.rad2deg(np.arctan(line.slope)))
    return LineBox(left, top, right, bottom, angle, start, end - start)


def _slope(x: NDArray[np.int64], y: NDArray[np.int64], letter_height: float) -> float:
    """Return the least-squares slope of pixels, shrunk towards 0 for short lines."""
    centred = x - x.mean()
    spread = float(np.square(centred).sum()) + len(x) * (2 * letter_height) ** 2
    return float((centred * y).sum()) / spread


def _other_lines(
    labels_HW: NDArray[np.int16],
    number: int,
    binarised: BinarisedPhoto,
    box: LineBox,
    letter_height: float,
) -> Mask | None:
    """Return the mask of other lines' ink in a crop, at the scale of the binarised photo."""
    width = max(1, round((box.right - box.left) * binarised.scale))
    height = max(1, round(box.height * binarised.scale))
    zoom = np.diag([(box.right - box.left) / width, box.height / height, 1.0])
    to_binarised = np.linalg.inv(binarised.to_photo) @ _to_photo(box) @ zoom
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(labels_HW, to_binarised[:2], (width, height), flags=flags)
    others = ((crop != number) & (crop != 0)).astype(np.uint8)
    if not others.any():
        return None
    # The borders of strokes are paler than what counts as ink, so both masks are dilated.
    kernel = np.ones((int(letter_height / 8) | 1,) * 2, np.uint8)
    own = cv2.dilate((crop == number).astype(np.uint8), kernel)
    return np.asarray(cv2.dilate(others, kernel) * (1 - own) * 255, np.uint8)
