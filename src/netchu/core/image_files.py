"""Image files of a folder."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Collection, Iterator
from enum import Enum
from pathlib import Path, PurePath
from typing import NamedTuple

RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")
"""Photos as a camera's sensor sees them, of which a decoder would find the preview only."""


class Kind(Enum):
    """What a file is, as far as its name says."""

    image = "an image with one of the suffixes"
    other = "an image in another format, or a folder that cannot be listed"
    unknown = "a file without a suffix of a known type, which may be an image"


class FoundImages(NamedTuple):
    """The images of a folder, sorted.

    Attributes:
        images: files with one of the suffixes.
        others: images in other formats, and folders that cannot be listed.
        unknown: files whose name has no suffix of a known type, which may be images.
    """

    images: list[Path]
    others: list[Path]
    unknown: list[Path]


def find_images(folder: Path, suffixes: Collection[str]) -> FoundImages:
    """Return the images in `folder` and below it, as `walk_images` finds them."""
    found: dict[Kind, list[Path]] = {kind: [] for kind in Kind}
    for kind, path in walk_images(folder, suffixes):
        found[kind].append(path)
    return FoundImages(*(sorted(found[kind]) for kind in Kind))


def walk_images(folder: Path, suffixes: Collection[str]) -> Iterator[tuple[Kind, Path]]:
    """Yield the images in `folder` and below it, in no order; none of the names are held.

    Hidden files and the files of hidden folders are left out, and links to folders not followed.

    Args:
        folder: where to look.
        suffixes: of the files, in lower case with the dot; files match in any case.
    """
    folders = [str(folder)]
    while folders:
        parent = folders.pop()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if _is_folder(entry):
                        if not entry.is_symlink():
                            folders.append(entry.path)
                    elif kind := kind_of(entry.name, suffixes):
                        yield kind, Path(entry.path)
        except OSError:
            yield Kind.other, Path(parent)


def kind_of(name: str, suffixes: Collection[str]) -> Kind | None:
    """Return what a file of this name is; None if it is no image."""
    suffix, known = PurePath(name).suffix.lower(), mimetypes.guess_type(name)[0]
    if suffix in suffixes:
        return Kind.image
    if suffix in RAW or (known or "").startswith("image/"):
        return Kind.other
    return Kind.unknown if known is None else None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # as of a link to itself
        return False
