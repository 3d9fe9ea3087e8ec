"""Photographed lines become `Line`s; what sources of photos have in common."""

from __future__ import annotations

import cv2
import numpy as np

from netchu.core.text import normalise
from netchu.data.line_table import Line, Skipped
from netchu.imaging.images import Grey, encode

KEPT = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")
"""How JPEG, PNG and WebP begin: what a line may hold. Other formats are written anew."""


def photo_line(
    name: str, encoded: bytes, text: str, writer: str, split: str, level: str = "line"
) -> Line | Skipped:
    """A `Line` whose id is `<source>-<rest>`; skipped if the image or the text is of no use.

    The bytes stay as they are if they are a grey image already; a coloured one is written anew.
    """
    image, coloured = _read(encoded)
    if image is None:
        return Skipped(name, "image does not decode")
    if not (text := normalise(text)):
        return Skipped(name, "empty label")
    return Line(
        id=name,
        image=encode(image) if coloured or not encoded.startswith(KEPT) else encoded,
        text=text,
        writer=writer,
        source=name.split("-", 1)[0],
        level=level,
        split=split,
        width=image.shape[1],
        height=image.shape[0],
    )


def _read(encoded: bytes) -> tuple[Grey | None, bool]:
    """The grey pixels, turned as the camera says (None: no image), and whether there is colour."""
    if not encoded:
        return None, False
    content = np.frombuffer(encoded, np.uint8)
    try:
        image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
        original = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:  # more pixels than OpenCV takes
        return None, False
    if image is None or original is None:
        return None, False
    if original.shape == (*image.shape, 4):  # what is transparent is paper
        opaque = 65535 if original.dtype == np.uint16 else 255
        image = 255 - (255 - image) * (original[:, :, 3] / opaque)
    return np.asarray(image, np.uint8), original.ndim == 3
