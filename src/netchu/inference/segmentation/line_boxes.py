"""Boxes and crops of the lines in a photo."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.imaging.images import Grey, quantiles
from netchu.imaging.specks import without_specks
from netchu.inference.results import Box
from netchu.inference.segmentation.components import assign_components, unassigned_letters
from netchu.inference.segmentation.ink import (
    WORKING_AREA,
    Affine,
    BinarisedPhoto,
    Mask,
    binarise,
    estimate_background,
)
from netchu.inference.segmentation.text_lines import Labels
from netchu.inference.segmentation.text_sizes import split_small_rows

MARGIN = 0.2
"""Paper around the ink of a line, in letter heights: about as much as in the training data."""
MIN_CROP_HEIGHT = 1.7
"""Lowest crop, in letter heights. A word of low letters only is not enlarged further."""
MAX_WHOLE_HEIGHT = 1.12
"""A photo of one line is read whole if it is lower than this many heights of the line's crop.

The network reads frames up to here as well as tight ones, higher ones worse
(`benchmarks/photos.py`), and what is left out may be cell borders and remainders of neighbours that
it has learned to ignore.
"""
MAX_FILLED_HEIGHT = 1.3
"""A photo lower than this, in heights of the crop of its main line, is filled by that line."""
ONE_LINE_HEIGHT = 2.6
"""A photo lower than this, in heights of its main line, is a photo of one line."""
MIN_SECOND_LINE_INK = 0.4
"""In a photo of one line, another line with less ink than this fraction of the main line's is part
of it, such as its marks, if it is low or the main line fills the photo."""
MAX_PART_HEIGHT = 0.55
"""Such a line is low below this fraction of the main line's height."""
MAX_VERTICAL_OVERLAP = 0.55
"""In a photo of one line, another line that shares more of its height is part of the main line."""
MIN_CUT_LINE_HEIGHT = 0.7
"""A line that the photo's edge cuts and that is lower than this fraction of the main line's height
is the remainder of a neighbour."""
MIN_FILLED = 0.65
"""A level line whose ink spans this fraction of the photo's height fills it, without doubt."""
EDGE_DISTANCE = 3
"""Ink within this many pixels of the photo's edge is cut by it."""
FIELD_GAP = 1.25
"""Paper between two fields on a row, in heights of the line's ink.

The widest gap between two words of 300 validation lines is 0.9, but for one line with 1.3; fields
of a form and columns of a table are farther apart.
"""
MIN_FIELD = 0.5
"""Height of the ink of a field, in letter heights; lower ink is a mark or a dash."""
MIN_FIELD_WIDTH = 0.25
"""Narrower ink, in letter heights, is the border of a cell or the edge of the sheet."""
MIN_WIDE_FIELD = 0.8
"""So is ink that is narrower than this and higher than `MAX_NARROW_FIELD` letter heights."""
MAX_NARROW_FIELD = 1.4
MIN_FIELD_DENSITY = 0.5
"""So is ink with less than this fraction of the line's ink per column."""
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
class Segmentation:
    """What was found in a photo.

    Attributes:
        lines: the lines, in reading order.
        unread: boxes around ink of a letter's size that is in no line.
    """

    lines: tuple[LineBox, ...]
    unread: tuple[Box, ...] = ()


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

    def is_remainder(self, main: _LineInk, photo_height: int) -> bool:
        """Return whether it is a low line that the upper or lower edge of the photo cuts."""
        top, bottom = self.rows
        is_cut = top < EDGE_DISTANCE or bottom > photo_height - 1 - EDGE_DISTANCE
        return is_cut and self.height < MIN_CUT_LINE_HEIGHT * main.height

    def is_part(self, main: _LineInk, photo_height: int, fills_photo: bool) -> bool:
        """Return whether it belongs to the main line of a photo that is as low as one line."""
        if photo_height >= ONE_LINE_HEIGHT * main.height:
            return self is main
        has_little_ink = self.pixels < MIN_SECOND_LINE_INK * main.pixels
        is_low = fills_photo or self.height < MAX_PART_HEIGHT * main.height
        return self.vertical_overlap(main) > MAX_VERTICAL_OVERLAP or (has_little_ink and is_low)

    def vertical_overlap(self, other: _LineInk) -> float:
        """Return the common height of two lines, as a fraction of the lower one."""
        (top, bottom), (upper, lower) = self.rows, other.rows
        return (min(bottom, lower) - max(top, upper)) / max(1.0, min(self.height, other.height))


def find_lines(photo_HW: Grey, line: bool = False) -> list[LineBox]:
    """Return the lines of `segment`."""
    return list(segment(photo_HW, line).lines)


def segment(photo_HW: Grey, line: bool = False) -> Segmentation:
    """Return the lines of handwriting in a photo, in reading order; none on empty paper.

    Fields on one row, with a wide gap between them, are lines of their own. A photo that one line
    fills gives one box, which is the whole photo.

    Args:
        photo_HW: the photo.
        line: the photo shows one line, so there is at most one box.
    """
    binarised, labels, letter_height = _label_ink(photo_HW)
    sizes = None if line else split_small_rows(binarised.ink_HW, letter_height)
    if sizes is None:
        return _segment_ink(photo_HW, binarised, labels, letter_height, line)
    parts = [
        _segment_ink(photo_HW, replace(binarised, ink_HW=ink), *assign_components(ink), line)
        for ink in sizes
    ]
    lines = sorted((found for part in parts for found in part.lines), key=_middle)
    return Segmentation(tuple(lines), tuple(box for part in parts for box in part.unread))


def _middle(box: LineBox) -> int:
    return box.top + box.bottom


def _segment_ink(
    photo_HW: Grey, binarised: BinarisedPhoto, labels: Labels, letter_height: float, line: bool
) -> Segmentation:
    """Return the lines of labelled ink; see `segment`."""
    lines = _line_inks(labels, letter_height, binarised)
    if not lines:
        return Segmentation(())
    height, width = photo_HW.shape
    unit = letter_height / binarised.scale
    main = max(lines, key=lambda found: found.pixels)
    lines = [found for found in lines if not found.is_remainder(main, height)]
    crop_height = max(main.height, MIN_CROP_HEIGHT * unit) + 2 * MARGIN * unit
    fills_photo = height < MAX_FILLED_HEIGHT * crop_height
    parts = [found.number for found in lines if line or found.is_part(main, height, fills_photo)]
    whole = height < MAX_WHOLE_HEIGHT * crop_height and len(parts) == len(lines)
    if len(parts) > 1:
        labels[np.isin(labels, parts)] = main.number
        lines = [found for found in lines if found.number not in parts]
        merged = _line_inks(np.where(labels == main.number, labels, 0), letter_height, binarised)
        lines = sorted([*lines, *merged], key=lambda found: found.number)
    fields = labels if line else _split_fields(labels, lines, letter_height, binarised.scale)
    if whole and fields is labels:
        return Segmentation((LineBox(0, 0, width, height, 0.0, 0, height),))
    if fields is not labels:
        labels, lines = fields, _line_inks(fields, letter_height, binarised)
    min_height = max(MIN_CROP_HEIGHT * unit, float(np.median([found.height for found in lines])))
    small_labels = labels.astype(np.int16)
    boxes = [(found, _box(found, min_height, MARGIN * unit, photo_HW)) for found in lines]
    masked = [
        replace(
            box,
            other_lines=_other_lines(small_labels, found.number, binarised, box, letter_height),
        )
        for found, box in boxes
    ]
    in_lines = np.where(np.isin(labels, [found.number for found in lines]), labels, 0)
    return Segmentation(tuple(masked), _unread(in_lines, letter_height, binarised, photo_HW))


def _label_ink(photo_HW: Grey) -> tuple[BinarisedPhoto, Labels, float]:
    """Return the ink of a photo with the labels and the letter height of `assign_components`.

    Letters that are too low for the working copy are looked for on larger ones, up to the photo.
    """
    area = WORKING_AREA
    while True:
        binarised = binarise(photo_HW, area)
        labels, letter_height = assign_components(binarised.ink_HW)
        if letter_height or binarised.scale == 1 or not binarised.ink_HW.any():
            return binarised, labels, letter_height
        area *= 4


def segment_single_line(photo_HW: Grey) -> Segmentation:
    """Return the only line of a photo: all of it if the line fills it or none is found."""
    found = Segmentation(()) if _fills_photo(photo_HW) else segment(photo_HW, line=True)
    if found.lines:
        return found
    height, width = photo_HW.shape
    return Segmentation((LineBox(0, 0, width, height, 0.0, 0, height),))


def crop_single_line(photo_HW: Grey) -> tuple[Grey, Box]:
    """Return the crop of the only line of a photo, and its box."""
    (box,) = segment_single_line(photo_HW).lines
    return crop_line(photo_HW, box), box.bounds


def _fills_photo(photo_HW: Grey) -> bool:
    """Return whether a level line fills the photo of one line, so that it need not be cropped.

    A hundredth of the time of `find_lines`, which decides where this function says no: also where
    the ink is too thin for the small copy. Thirds of the photo are looked at one by one, because a
    line written uphill spans more rows than letters, and the light may differ between them.
    """
    width = max(3, min(2048, round(32 * photo_HW.shape[1] / photo_HW.shape[0])))
    small = cv2.resize(photo_HW, (width, 32), interpolation=cv2.INTER_AREA)
    thirds = np.array_split(np.asarray(small, np.uint8), 3, axis=1)
    levels = np.hstack([third - np.float32(quantiles(third, [0.5])[0]) for third in thirds])
    dark = levels < min(float(np.percentile(levels, 1)), -32.0) / 2
    dark[dark.mean(axis=1) > 0.5] = False  # borders of a table cell
    rows = [np.flatnonzero(third.any(axis=1)) for third in np.array_split(dark, 3, axis=1)]
    spans = [(found[-1] - found[0] + 1) / 32 for found in rows if found.size]
    return bool(spans) and float(np.mean(spans)) > MIN_FILLED


def crop_line(photo_HW: Grey, box: LineBox) -> Grey:
    """Return the crop of a line, levelled, with specks and the ink of other lines painted over.

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
    if box.other_lines is not None:
        others = cv2.resize(box.other_lines, (width, box.height), interpolation=cv2.INTER_NEAREST)
        crop = np.where(others > 0, estimate_background(crop, box.height), crop)
    return without_specks(crop)


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


def _split_fields(
    labels_HW: Labels, lines: list[_LineInk], letter_height: float, scale: float
) -> Labels:
    """Number the fields of every line, from left to right; return the labels if no line has two.

    Ink of other lines gets the next number.
    """
    y, x = np.nonzero(labels_HW)
    owner = labels_HW[y, x]
    fields, count = np.zeros_like(owner), 0
    for line in lines:
        own = owner == line.number
        gap = FIELD_GAP * max(line.height * scale, MIN_CROP_HEIGHT * letter_height)
        columns = np.unique(x[own])
        density = own.sum() / len(columns)
        ends = np.append(columns[:-1][np.diff(columns) > gap], columns[-1])
        begin = count + 1
        for end in ends.tolist():
            part = own & (x <= end) & (fields == 0)
            if count < begin or _is_field(x[part], y[part], letter_height, density):
                count += 1
            fields[part] = count
    if count == len(lines):
        return labels_HW
    split = np.zeros_like(labels_HW)
    split[y, x] = np.where(fields > 0, fields, count + 1)
    return split


def _is_field(
    x: NDArray[np.int64], y: NDArray[np.int64], letter_height: float, density: float
) -> bool:
    """Return whether ink is writing, and not a mark or the border of a cell.

    `density` is the ink per column of the line.
    """
    width, height = (np.ptp(x) + 1) / letter_height, (np.ptp(y) + 1) / letter_height
    narrow = width < MIN_WIDE_FIELD
    is_border = narrow and (width < MIN_FIELD_WIDTH or height > MAX_NARROW_FIELD)
    is_thin = len(x) < MIN_FIELD_DENSITY * density * len(np.unique(x))
    return bool(height >= MIN_FIELD and not is_border and not is_thin)


def _unread(
    labels_HW: Labels, letter_height: float, binarised: BinarisedPhoto, photo_HW: Grey
) -> tuple[Box, ...]:
    """Return boxes of the photo around letters that are in no line, close ones in one box."""
    letters = unassigned_letters(binarised.ink_HW, labels_HW, letter_height)
    if not letters.any():
        return ()
    joined = cv2.dilate(letters, np.ones((round(letter_height) | 1,) * 2, np.uint8))
    count, groups = cv2.connectedComponents(joined, connectivity=8)
    boxes = []
    for group in range(1, count):
        y, x = np.nonzero((np.asarray(groups) == group) & (letters > 0))
        across, down = binarised.in_photo(x, y)
        left, top = max(0, int(across.min())), max(0, int(down.min()))
        right = min(photo_HW.shape[1], int(across.max()) + 1)
        boxes.append((left, top, right, min(photo_HW.shape[0], int(down.max()) + 1)))
    return tuple(sorted(boxes, key=lambda box: (box[1], box[0])))


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
