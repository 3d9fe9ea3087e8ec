"""Images of a folder, why others in it are not read, and which paths are addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from netchu.core.image_files import Kind, walk_images
from netchu.imaging.photos import SUFFIXES, is_image_file

OTHER_FORMAT = "not a format that is read; save it as PNG"


class Listed(NamedTuple):
    """A file to read, or what cannot be read.

    Attributes:
        path: of a file, or of a folder that cannot be listed.
        error: why it cannot be read, and the way out; "" for a file to read.
    """

    path: str
    error: str = ""


def list_folder(folder: Path) -> Iterator[Listed]:
    """Yield the images in `folder` and below it, in no order, and those in other formats."""
    for kind, path in walk_images(folder, SUFFIXES):
        if kind == Kind.image or (kind == Kind.unknown and _may_be_image(path)):
            yield Listed(str(path))
        elif kind == Kind.other:
            error = "this folder cannot be listed; check its rights"
            yield Listed(str(path), error if is_folder(path) else OTHER_FORMAT)


def is_address(path: str) -> bool:
    """Return whether a path is an address for fsspec, such as s3://bucket/page.jpg."""
    return "://" in path


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; one that no file can have or that is forbidden is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return False


def _may_be_image(file: Path) -> bool:
    """Return whether a file of unknown type is an image, or in a folder that may not be entered.

    Reading the latter gives the error that names it.
    """
    try:
        return file.is_file() and is_image_file(file)
    except OSError:
        return True
