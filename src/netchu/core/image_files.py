"""Image files of a folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path


def find_images(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the image files in `folder` and below it, sorted.

    Hidden files and the files of hidden folders are left out.

    Args:
        folder: where to look.
        suffixes: of the files, in lower case with the dot; files match in any case.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
