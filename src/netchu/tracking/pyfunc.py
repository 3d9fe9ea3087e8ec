"""The exported reader as an MLflow model: encoded images in, text out. Needs no torch.

Registered models refer to this module by its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from netchu.core.errors import NetchuError
from netchu.inference.reader import Reader

if TYPE_CHECKING:
    import pandas as pd


class ImageReader:
    """The model that MLflow serves."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Read one photo a row.

        Args:
            frame: column `image` with the bytes of photo files; MLflow's server decodes base64.
            params: `line` (bool): each photo is a single line.

        Returns:
            Columns text (lines joined by line breaks) and confidence, with the index of `frame`.

        Raises:
            NetchuError: there is no column `image`, or a photo cannot be decoded.
        """
        if "image" not in frame:
            raise NetchuError("no column 'image'; give the bytes of each photo in it")
        # The reader would open a string as a file of the server.
        if bad := [n for n, image in enumerate(frame["image"]) if not isinstance(image, bytes)]:
            raise NetchuError(f"image {bad[0]} is not bytes; give the content of its file")
        readings = []
        line = bool((params or {}).get("line", False))
        for index, reading in enumerate(self.reader.read_many(frame["image"], line=line)):
            if isinstance(reading, NetchuError):
                raise NetchuError(f"image {index}: {reading}")
            readings.append(reading)
        columns = {
            "text": [reading.text for reading in readings],
            "confidence": [reading.confidence for reading in readings],
        }
        return type(frame)(columns, index=frame.index)


def _load_pyfunc(path: str) -> ImageReader:
    """Load the logged folder; the name of the function is MLflow's."""
    return ImageReader(Reader(Path(path)))
