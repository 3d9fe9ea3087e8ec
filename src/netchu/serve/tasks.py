"""What a worker process does: parse a body, list pages of a file, read a photo, crop a line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from netchu.imaging.photos import PhotoSource, list_pages
from netchu.inference.reader import Reader
from netchu.inference.results import Box
from netchu.inference.serializers import to_json
from netchu.serve.crops import encode_crop
from netchu.serve.settings import Limits
from netchu.serve.uploads import UploadedImage, parse_images

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


def parse_body(
    readers: Readers, content_type: str, body: bytes, limits: Limits
) -> tuple[list[UploadedImage], dict[str, Any]]:
    """Return the images and options of a body, see `uploads.parse_images`."""
    return asyncio.run(parse_images(content_type, body, limits))


def encode_json(content: object) -> bytes:
    """Return JSON as Starlette writes it."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def read_photo(readers: Readers, model: str, name: str, image: PhotoSource, line: bool) -> bytes:
    """Read a photo with the model of that name; return the reading as JSON.

    A page of writing has megabytes of it, which would keep the event loop from other requests.

    Raises:
        NetchuError: it cannot be read.
    """
    return encode_json(to_json(name, readers[model].read(image, line=line)))


def crop_line(readers: Readers, photo: bytes, box: Box | None, turns: int) -> bytes:
    """Return `encode_crop` of a photo.

    Raises:
        NetchuError: the photo cannot be read, or has no such line.
    """
    return encode_crop(photo, box, turns)
