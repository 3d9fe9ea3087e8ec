"""Which images lie in a folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path


def find_images(folder: Path, kinds: Collection[str]) -> list[Path]:
    """The files in `folder` and below it whose suffix is one of `kinds`, sorted.

    kinds: small letters with the dot. Hidden files and what lies in hidden folders are left out.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in kinds
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
