"""Sample images of the web page: drawn lines that come with the package, or a user's folder."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.image_files import find_images

SHIPPED_SAMPLES = Path(str(files("netchu"))) / "serve" / "samples"
"""Folder of the samples that come with the package."""

SAMPLES_PER_DRAW = 3

MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}
"""Formats that every browser shows."""

MAX_FILE_BYTES = 16 * 2**20
"""Larger files are left out."""


@dataclass(frozen=True)
class Sample:
    """A sample image; requests can name it only by its number."""

    number: int
    path: Path

    @property
    def media_type(self) -> str:
        """The media type of the image."""
        return MEDIA_TYPES[self.path.suffix.lower()]


class Samples:
    """The images in a folder and below it, listed once at the start."""

    def __init__(self, folder: Path | None) -> None:
        """List `folder`, or the shipped samples.

        Raises:
            NetchuError: the folder has no image.
        """
        folder = folder or SHIPPED_SAMPLES
        images = [path for path in find_images(folder, MEDIA_TYPES).images if path.is_file()]
        small = [path for path in images if path.stat().st_size <= MAX_FILE_BYTES]
        if not small:
            raise NetchuError(
                f"{folder}: no image in this folder; put {', '.join(MEDIA_TYPES)} files into it"
            )
        self._samples = [Sample(number, path) for number, path in enumerate(small)]

    def draw(self) -> list[Sample]:
        """Return three random samples, or all if there are fewer."""
        return random.sample(self._samples, min(SAMPLES_PER_DRAW, len(self._samples)))

    def __getitem__(self, number: int) -> Sample | None:
        return self._samples[number] if 0 <= number < len(self._samples) else None
