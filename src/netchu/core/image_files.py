"""Image files of a folder."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple


class FoundImages(NamedTuple):
    """The images of a folder, sorted.

    Attributes:
        images: files with one of the suffixes.
        others: images in other formats, and folders that cannot be listed.
        unnamed: files whose name has no suffix, which may be images.
    """

    images: list[Path]
    others: list[Path]
    unnamed: list[Path]


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
            if path.suffix.lower() in suffixes:
                found.images.append(path)
            elif (mimetypes.guess_type(path.name)[0] or "").startswith("image/"):
                found.others.append(path)
            elif not path.suffix:
                found.unnamed.append(path)
    return FoundImages(*map(sorted, found))
