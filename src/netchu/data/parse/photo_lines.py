"""From an encoded photo and its label to a `Line`, for the sources of photos."""

from __future__ import annotations

import cv2
import numpy as np

from netchu.core.text import normalise
from netchu.data.line_table import Line, Skipped
from netchu.imaging.images import Grey, encode

TABLE_FORMATS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")
"""First bytes of JPEG, PNG and WebP, the formats of a line table. Others are encoded again."""


def photo_line(
    name: str, encoded: bytes, text: str, writer: str, split: str, level: str = "line"
) -> Line | Skipped:
    """Return a `Line`, or `Skipped` if the image does not decode or the text is empty.

    A grey JPEG, PNG or WebP keeps its bytes; any other image is encoded as a grey PNG.

    Args:
        name: the id, `<source>-<rest>`.
        encoded: the bytes of the image.
        text: the label, not yet normalised.
        writer: '' if unknown.
        split: '' if the source has no official split.
        level: word, line or paragraph.
    """
    image, coloured = _read(encoded)
    if image is None:
        return Skipped(name, "image does not decode")
    if not (text := normalise(text)):
        return Skipped(name, "empty label")
    return Line(
        id=name,
        image=encode(image) if coloured or not encoded.startswith(TABLE_FORMATS) else encoded,
        text=text,
        writer=writer,
        source=name.split("-", 1)[0],
        level=level,
        split=split,
        width=image.shape[1],
        height=image.shape[0],
    )


def _read(encoded: bytes) -> tuple[Grey | None, bool]:
    """Return the grey pixels, EXIF rotation applied, and whether there is colour.

    The pixels are None if the bytes do not decode.
    """
    if not encoded:
        return None, False
    content = np.frombuffer(encoded, np.uint8)
    try:
        image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
        original = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:  # more pixels than OpenCV decodes
        return None, False
    if image is None or original is None:
        return None, False
    if original.shape == (*image.shape, 4):  # transparent pixels are paper
        opaque = 65535 if original.dtype == np.uint16 else 255
        image = 255 - (255 - image) * (original[:, :, 3] / opaque)
    return np.asarray(image, np.uint8), original.ndim == 3
