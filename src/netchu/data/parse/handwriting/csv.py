"""CSV tables of images and labels: the user's own lines, under the user's own licence.

The header row is `image,label` and, if the writers are known, `writer`. Paths of images are
relative to the folder of the table. The `english.csv` of handwriting tutorials has this format.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.files import read_regular_file
from netchu.data.line_table import LEVELS, Line, Skipped
from netchu.data.parse.photo_lines import photo_line
from netchu.imaging.photos import MAX_BYTES

NEEDED = ("image", "label")
MAX_TABLE_BYTES = 2**30


def parse(
    folder: Path, levels: Collection[str] = LEVELS, images: Path | None = None
) -> Iterator[Line | Skipped]:
    """Yield the rows in order; a label without a space is a word, any other is a line.

    Args:
        folder: the table, or a folder that holds it as its only CSV file.
        levels: the levels to yield.
        images: the folder that image paths are relative to; by default, that of the table.

    Raises:
        NetchuError: there is no such table, it is too large or not a CSV file in UTF-8, or a column
            is missing.
    """
    table = _find(folder)
    for number, row in _rows(table):
        name = f"csv-{number:06d}"
        level = "line" if " " in row["label"].strip() else "word"
        if level not in levels:
            continue
        image = (images or table.parent) / row["image"]
        try:
            content = read_regular_file(image, MAX_BYTES)
        except NetchuError:
            there = os.path.exists(image) and not image.is_dir()  # noqa: PTH110 (a null byte)
            reason = f"no file of at most {MAX_BYTES} bytes" if there else "missing"
            yield Skipped(name, f"image is {reason}: {row['image']}")
        else:
            yield photo_line(name, content, row["label"], row["writer"], "", level)


def _find(folder: Path) -> Path:
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise NetchuError(f"{folder}: no such table; check the path")
    tables = sorted(folder.glob("*.csv"))
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables) or "none"
        raise NetchuError(f"{folder} must hold one CSV file (found: {found}); name the file")
    return tables[0]


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row's number, as a spreadsheet shows it, and its stripped cells.

    The cells are `image`, `label` and `writer`, '' for a missing one; empty rows are left out.
    """
    if not table.is_file():
        raise NetchuError(f"{table} is not a regular file; save the table to a file")
    if table.stat().st_size > MAX_TABLE_BYTES:
        raise NetchuError(f"{table} has more than {MAX_TABLE_BYTES} bytes; split it")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            if missing := [name for name in NEEDED if name not in columns]:
                raise NetchuError(
                    f"{table}: column {missing[0]!r} is missing; found: "
                    f"{', '.join(columns) or 'an empty file'}"
                )
            if twice := [name for name in (*NEEDED, "writer") if columns.count(name) > 1]:
                raise NetchuError(f"{table}: two columns are called {twice[0]!r}; rename one")
            for number, row in enumerate(reader, start=2):
                if len(row) > len(columns):
                    raise NetchuError(
                        f"{table}, row {number}: {len(row)} cells under "
                        f"{len(columns)} columns; quote labels that contain commas"
                    )
                cells = dict(zip(columns, map(str.strip, row), strict=False))
                if any(cells.values()):
                    yield number, {name: cells.get(name, "") for name in (*NEEDED, "writer")}
    except (csv.Error, UnicodeDecodeError) as error:
        raise NetchuError(
            f"{table} is not a CSV file in UTF-8 ({error}); save it as such"
        ) from None
