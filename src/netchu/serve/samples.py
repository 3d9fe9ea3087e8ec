"""Lines to try the recogniser with: drawn ones that come with the package, or a user's folder."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.image_files import find_images

SHIPPED = Path(str(files("netchu"))) / "serve" / "samples"

SHOWN = 3

KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}
"""What every browser shows."""

MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Sample:
    """An image by its number, which is all that a request can name it by."""

    number: int
    path: Path

    @property
    def kind(self) -> str:
        """Its media type."""
        return KINDS[self.path.suffix.lower()]


class Samples:
    """The images of a folder and of those below it, as they were when the server began."""

    def __init__(self, folder: Path | None) -> None:
        """List `folder`, or the shipped samples.

        Raises:
            NetchuError: there is no image in it.
        """
        where = folder or SHIPPED
        images = find_images(where, KINDS)
        found = [path for path in images if path.stat().st_size <= MOST_BYTES]
        if not found:
            raise NetchuError(
                f"{where}: no image in this folder, which is one of {', '.join(KINDS)}"
            )
        self._all = [Sample(number, path) for number, path in enumerate(found)]

    def draw(self) -> list[Sample]:
        """Three at random, or as many as there are."""
        return random.sample(self._all, min(SHOWN, len(self._all)))

    def __getitem__(self, number: int) -> Sample | None:
        return self._all[number] if 0 <= number < len(self._all) else None
