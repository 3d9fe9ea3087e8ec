"""Photographed lines of an archive become `Line`s; what sources of photos have in common."""

from __future__ import annotations

import cv2
import numpy as np

from netchu.images import encode
from netchu.lines import Line, Skipped
from netchu.text import normalise


def photo_line(name: str, encoded: bytes, text: str, writer: str, split: str) -> Line | Skipped:
    """A `Line` of level "line" whose id is `<source>-<rest>`.

    The bytes stay as they are if they are a grey image already; a coloured one is written anew.
    """
    image = (
        cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED) if encoded else None
    )
    if image is None:
        return Skipped(name, "image does not decode")
    if image.ndim == 3:
        grey = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
        encoded = encode(np.asarray(grey, np.uint8))
    return Line(
        id=name,
        image=encoded,
        text=normalise(text),
        writer=writer,
        source=name.split("-", 1)[0],
        level="line",
        split=split,
        width=image.shape[1],
        height=image.shape[0],
    )
