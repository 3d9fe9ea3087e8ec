"""The crop of a line that a user corrects."""

from __future__ import annotations

from itertools import chain

import numpy as np

from netchu.core.errors import NetchuError
from netchu.imaging.images import Grey, encode
from netchu.imaging.photos import read_photo
from netchu.imaging.polarity import with_dark_ink
from netchu.imaging.specks import without_specks
from netchu.inference.results import Box
from netchu.inference.segmentation.line_boxes import crop_line, find_lines


def encode_crop(photo: bytes, box: Box | None, turns: int = 0) -> bytes:
    """Return the crop of a line as the reader saw it, as PNG.

    Args:
        photo: the encoded photo.
        box: box of the line in the photo, as it was read; None is the whole photo.
        turns: `PhotoReading.turns` of the reading.

    Raises:
        NetchuError: the photo cannot be read or has no line in `box`.
    """
    return encode(_crop(with_dark_ink(read_photo(photo)), box, turns))


def _crop(photo_HW: Grey, box: Box | None, turns: int) -> Grey:
    """Return the crop of a line in the photo after `turns` quarter turns."""
    height, width = photo_HW.shape
    bounds, page_HW = box or (0, 0, width, height), photo_HW
    for _ in range(turns):
        left, top, right, bottom = bounds
        bounds = top, page_HW.shape[1] - right, bottom, page_HW.shape[1] - left
        page_HW = np.ascontiguousarray(np.rot90(page_HW))
    if bounds == (0, 0, *page_HW.shape[::-1]):
        return without_specks(page_HW)
    # The second segmentation runs only if the first has no such line.
    for found in chain.from_iterable(find_lines(page_HW, line) for line in (False, True)):
        if found.bounds == bounds:
            return crop_line(page_HW, found)
    raise NetchuError(
        f"the photo has no line in the box {list(box or bounds)} after {turns} quarter turns; send "
        "box and turns of a reading"
    )
