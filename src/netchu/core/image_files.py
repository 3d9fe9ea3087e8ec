"""Image files of a folder."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")
"""Photos as a camera's sensor sees them, of which a decoder would find the preview only."""


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
    """Return the images in `folder` and below it.

    Hidden files and the files of hidden folders are left out.

    Args:
        folder: where to look.
        suffixes: of the files, in lower case with the dot; files match in any case.
    """
    found = FoundImages([], [], [])

    def add_unlisted(error: OSError) -> None:
        found.others.append(Path(error.filename))

    for parent, folders, names in os.walk(folder, onerror=add_unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            suffix, kind = path.suffix.lower(), mimetypes.guess_type(path.name)[0]
            if suffix in suffixes:
                found.images.append(path)
            elif suffix in RAW or (kind or "").startswith("image/"):
                found.others.append(path)
            elif kind is None:
                found.unknown.append(path)
    return FoundImages(*map(sorted, found))
