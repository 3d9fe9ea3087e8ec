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
    """

    images: list[Path]
    others: list[Path]


def find_images(folder: Path, suffixes: Collection[str]) -> FoundImages:
    """Return the images in `folder` and below it.

    Hidden files and the files of hidden folders are left out.

    Args:
        folder: where to look.
        suffixes: of the files, in lower case with the dot; files match in any case.
    """
    found = FoundImages([], [])

    def add_unlisted(error: OSError) -> None:
        found.others.append(Path(error.filename))

    for parent, folders, names in os.walk(folder, onerror=add_unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() in suffixes and not name.startswith("."):
                found.images.append(path)
            elif (mimetypes.guess_type(name)[0] or "").startswith("image/") and name[0] != ".":
                found.others.append(path)
    return FoundImages(sorted(found.images), sorted(found.others))
