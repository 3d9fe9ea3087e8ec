"""What a worker process does: list the pages of a file, read a photo, crop a corrected line."""

from __future__ import annotations

from collections.abc import Mapping

from netchu.imaging.photos import PhotoSource, list_pages
from netchu.inference.reader import Reader
from netchu.inference.results import Box, PhotoReading
from netchu.serve.crops import encode_crop

Readers = Mapping[str, Reader]
"""The models of the server by name."""


def find_pages(readers: Readers, content: bytes, limit: int) -> list[int | None]:
    """Return the numbers of at most `limit` pages of a file; None stands for a file without pages.

    Args:
        readers: not used.
        content: the bytes of the file.
        limit: stop after so many pages.
    """
    return [getattr(page, "number", None) for page in list_pages(content, limit)]


def read_photo(readers: Readers, model: str, image: PhotoSource, line: bool) -> PhotoReading:
    """Read a photo with the model of that name.

    Raises:
        NetchuError: it cannot be read.
    """
    return readers[model].read(image, line=line)


def crop_line(readers: Readers, photo: bytes, box: Box | None, turns: int) -> bytes:
    """Return `encode_crop` of a photo.

    Raises:
        NetchuError: the photo cannot be read, or has no such line.
    """
    return encode_crop(photo, box, turns)
