"""The exported reader as MLflow loads and serves it: encoded images in, text out. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from netchu.core.errors import NetchuError
from netchu.inference.reader import Reader

if TYPE_CHECKING:
    import pandas as pd


class ImageReader:
    """What MLflow serves."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Read the column `image` (the bytes of a photo file), one photo a row.

        Returns the columns text (lines joined by line breaks) and confidence, in the order and
        with the index of `frame`. MLflow's server turns base64 into bytes before it calls this.
        `params` may say that each photo is one `line`.

        Raises:
            NetchuError: there is no column `image`, or one of them is no photo.
        """
        if "image" not in frame:
            raise NetchuError("no column 'image'; give the bytes of each photo in it")
        # A name would be opened as a file of the server's.
        if odd := [n for n, image in enumerate(frame["image"]) if not isinstance(image, bytes)]:
            raise NetchuError(f"image {odd[0]} is not bytes; give the content of its file")
        readings = []
        line = bool((params or {}).get("line", False))
        for place, reading in enumerate(self.reader.read_many(frame["image"], line=line)):
            if isinstance(reading, NetchuError):
                raise NetchuError(f"image {place}: {reading}")
            readings.append(reading)
        columns = {
            "text": [reading.text for reading in readings],
            "confidence": [reading.confidence for reading in readings],
        }
        return type(frame)(columns, index=frame.index)


def _load_pyfunc(path: str) -> ImageReader:
    """Called by MLflow with the logged folder."""
    return ImageReader(Reader(Path(path)))
