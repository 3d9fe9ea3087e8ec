"""A photo of handwriting is cut into lines, by OpenCV and NumPy alone.

`page.py` finds the ink, `streaks.py` the rows in which letters stand, `letters.py` gives letters
and marks to their lines; here lines become boxes and crops of the photo.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.imaging.images import Grey
from netchu.inference.segmentation.components import share_out
from netchu.inference.segmentation.ink import Affine, Mask, Page, find_ink, ground
from netchu.inference.segmentation.text_lines import Labels

MARGIN = 0.12
"""Letter heights of paper around a line's ink."""
ROOM = 2.6
"""Heights of its main line that a photo of one line is high at most."""
MINOR = 0.4
"""Share of the main line's ink below which another is no line, in a photo as low as that."""
SIDE = 0.55
"""Share of its height from which a line beside another in such a photo is a piece of it."""
REMNANT = 0.7
"""Heights of the main line below which a line that the photo's edge cuts is a neighbour's rest."""
EDGE = 3
"""Pixels from the photo's edge that ink which it cuts is away at most."""
LEVEL = 0.005
"""Pixels fallen per pixel: too little to be worth bending the photo."""


@dataclass(frozen=True)
class LineBox:
    """Where a line of handwriting stands, in pixels of the photo.

    left, top, right, bottom: the box around it, inside the photo. angle: degrees by which the
    line falls to the right. start: row of the photo at which its crop begins on the left; height:
    of the crop. foreign: other lines' ink in the crop, None where there is none.
    """

    left: int
    top: int
    right: int
    bottom: int
    angle: float
    start: int
    height: int
    foreign: Mask | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class _Span:
    """A line's ink in the photo: how many pixels of the page, its slope (tilt), its two ends, and
    the rows between which it lies where it meets the photo's left edge.
    """

    number: int
    ink: int
    tilt: float
    ends: tuple[float, float]
    band: tuple[float, float]

    @property
    def height(self) -> float:
        return self.band[1] - self.band[0]

    @property
    def rows(self) -> tuple[float, float]:
        """Between which rows of the photo the middle of the line is."""
        drop = self.tilt * (self.ends[0] + self.ends[1]) / 2
        return self.band[0] + drop, self.band[1] + drop

    def is_cut(self, photo_height: int) -> bool:
        """Whether it touches the photo's upper or lower edge."""
        top, bottom = self.rows
        return top < EDGE or bottom > photo_height - 1 - EDGE

    def shared(self, other: _Span) -> float:
        """Share of the height that it has in common with another line."""
        (top, bottom), (upper, lower) = self.rows, other.rows
        return (min(bottom, lower) - max(top, upper)) / max(1.0, min(self.height, other.height))


def find_lines(photo_HW: Grey) -> list[LineBox]:
    """The lines of handwriting in a photo, in reading order; none on empty paper.

    A photo that one line fills gives one box, which is the whole photo.
    """
    page = find_ink(photo_HW)
    labels, letter_height = share_out(page.ink_HW)
    spans = _spans(labels, letter_height, page)
    if not (lines := _without_rests(spans, photo_HW.shape[0])):
        return []
    if len(lines) == 1 and photo_HW.shape[0] < ROOM * lines[0].height:
        return [LineBox(0, 0, photo_HW.shape[1], photo_HW.shape[0], 0.0, 0, photo_HW.shape[0])]
    usual = float(np.median([line.height for line in lines]))
    margin = MARGIN * letter_height / page.scale
    numbers = labels.astype(np.int16)
    boxes = [(line, _box(line, usual, margin, photo_HW)) for line in lines]
    return [
        replace(box, foreign=_foreign(numbers, line.number, page, box, letter_height))
        for line, box in boxes
    ]


def cut(photo_HW: Grey, box: LineBox) -> Grey:
    """The crop of one line, levelled by moving columns, without the ink of its neighbours.

    Column c of the crop is column `box.left + c` of the photo.
    """
    width = box.right - box.left
    if not box.angle:
        crop = photo_HW[box.start : box.start + box.height, box.left : box.right]
    else:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size, border = (width, box.height), cv2.BORDER_REPLICATE
        warped = cv2.warpAffine(photo_HW, _to_photo(box)[:2], size, flags=flags, borderMode=border)
        crop = np.asarray(warped, np.uint8)
    if box.foreign is None:
        return crop
    foreign = cv2.resize(box.foreign, (width, box.height), interpolation=cv2.INTER_NEAREST)
    return np.where(foreign > 0, ground(crop, box.height), crop)


def _to_photo(box: LineBox) -> Affine:
    tilt = np.tan(np.deg2rad(box.angle))
    return np.array([[1, 0, box.left], [tilt, 1, box.start], [0, 0, 1]], np.float64)


def _spans(lines_HW: Labels, letter_height: float, page: Page) -> list[_Span]:
    y, x = np.nonzero(lines_HW)
    owner = lines_HW[y, x]
    spans = []
    for number in np.unique(owner).tolist():
        ours = owner == number
        tilt = page.tilt(_slope(x[ours], y[ours], letter_height))
        tilt = tilt if abs(tilt) > LEVEL else 0.0
        across, down = page.in_photo(x[ours], y[ours])
        level = down - across * tilt
        ends, band = (across.min(), across.max()), (level.min(), level.max())
        spans.append(_Span(number, int(ours.sum()), tilt, ends, band))
    return spans


def _without_rests(spans: list[_Span], photo_height: int) -> list[_Span]:
    """Leave out what the photo's edge has left of a neighbour.

    A photo as low as one line is one line, but for a second one that is written under the first.
    """
    if not spans:
        return []
    main = max(spans, key=lambda span: span.ink)
    low = photo_height < ROOM * main.height

    def is_rest(span: _Span) -> bool:
        cut = span.height < REMNANT * main.height and span.is_cut(photo_height)
        return cut or (low and (span.ink < MINOR * main.ink or span.shared(main) > SIDE))

    return [span for span in spans if span is main or not is_rest(span)]


def _box(line: _Span, usual: float, margin: float, photo_HW: Grey) -> LineBox:
    """A box of whole pixels with some paper around the line, at least as high as is usual."""
    rows, columns = photo_HW.shape
    left = max(0, round(line.ends[0] - margin))
    right = min(columns, round(line.ends[1] + margin) + 1)
    spare = max(0.0, usual - line.height) / 2 + margin
    start = round(line.band[0] - spare + left * line.tilt)
    end = round(line.band[1] + spare + left * line.tilt) + 1
    drop = round((right - 1 - left) * line.tilt)
    top, bottom = max(0, start + min(0, drop)), min(rows, end + max(0, drop))
    if not line.tilt:
        start, end = top, bottom
    angle = float(np.rad2deg(np.arctan(line.tilt)))
    return LineBox(left, top, right, bottom, angle, start, end - start)


def _slope(x: NDArray[np.int64], y: NDArray[np.int64], letter_height: float) -> float:
    """Pixels fallen per pixel; a short line is taken for more level than it looks."""
    centred = x - x.mean()
    spread = float(np.square(centred).sum()) + len(x) * (2 * letter_height) ** 2
    return float((centred * y).sum()) / spread


def _foreign(
    lines_HW: NDArray[np.int16], line: int, page: Page, box: LineBox, letter_height: float
) -> Mask | None:
    """Ink of other lines in a crop, at the scale of the page."""
    wide = max(1, round((box.right - box.left) * page.scale))
    high = max(1, round(box.height * page.scale))
    zoom = np.diag([(box.right - box.left) / wide, box.height / high, 1.0])
    to_page = np.linalg.inv(page.to_photo) @ _to_photo(box) @ zoom
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(lines_HW, to_page[:2], (wide, high), flags=flags)
    others = ((crop != line) & (crop != 0)).astype(np.uint8)
    if not others.any():
        return None
    # The edges of strokes are paler than ink, so both sides get a rim.
    rim = np.ones((int(letter_height / 8) | 1,) * 2, np.uint8)
    own = cv2.dilate((crop == line).astype(np.uint8), rim)
    return np.asarray(cv2.dilate(others, rim) * (1 - own) * 255, np.uint8)
