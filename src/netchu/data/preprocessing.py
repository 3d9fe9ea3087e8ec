"""From a source or a synthetic table to a line table with splits.

Every line gets its split. Lines that cannot be used are listed with a reason in `skipped.csv`.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import track

from netchu.core.errors import NetchuError
from netchu.core.files import new_folder
from netchu.core.params import DatasetParams
from netchu.core.text import ALPHABET, normalise
from netchu.data.contact_sheet import SHEET_LINES, contact_sheet
from netchu.data.line_table import Line, Skipped, check_leaks, image_digests, write_table
from netchu.data.parse import load_handwriting
from netchu.data.published_splits import published_id, published_split
from netchu.data.splits import assign_splits, seeded_hash
from netchu.data.stored_frames import equal_to, frame_parts, groups_by_key, select_rows
from netchu.data.stored_lines import StoredLines, store_lines
from netchu.imaging.images import encode


def preprocess(params: DatasetParams, name: str, seed: int, out: Path) -> None:
    """Write the line table of a dataset, completely or not at all.

    Besides the shards the folder holds `skipped.csv`; `summary.json`, which counts lines by split
    and level, writers by split, skipped lines by reason, and texts that are in several splits (not
    a leak, but worth knowing); and `sheet.png`, a contact sheet of training lines.

    Args:
        params: the dataset.
        name: its name, for messages.
        seed: of the splits, the limit and the contact sheet.
        out: the folder to create or replace.

    Raises:
        NetchuError: the input is missing or damaged, no lines are left, or a writer or image would
            be in two splits.
    """
    skipped: list[Skipped] = []
    lines = split_lines(params, name, seed, skipped)
    if lines.empty:
        raise NetchuError(
            f"dataset {name}: no lines are left of {params.input} at levels "
            f"{', '.join(params.levels)} ({len(skipped)} skipped); check input and levels"
        )
    summary = json.dumps(_summary(lines, skipped), indent=1, ensure_ascii=False)
    sheet = StoredLines(lines.iloc[_rows_of_sheet(lines, seed)])
    with new_folder(out) as partial:
        write_table(StoredLines(lines), partial, skipped)
        (partial / "summary.json").write_text(summary + "\n", encoding="utf-8")
        (partial / "sheet.png").write_bytes(encode(contact_sheet(sheet)))


def _rows_of_sheet(lines: pd.DataFrame, seed: int) -> list[int]:
    """Return the rows of the training lines that the contact sheet shows."""
    columns = (zip(part.index, part["id"], part["split"], strict=True)
               for part in frame_parts(lines))  # fmt: skip
    training = (
        (seeded_hash(seed, id_), int(row))
        for row, id_, split in chain.from_iterable(columns)
        if split == "train"
    )
    return [row for _, row in heapq.nsmallest(SHEET_LINES, training)]


def split_lines(
    params: DatasetParams, name: str, seed: int, skipped: list[Skipped]
) -> pd.DataFrame:
    """Read the lines of a dataset and assign their splits.

    Synthesis from training lines calls this as well, because a split depends on all writers that
    are left, and lines beyond the limit must not come back as copies.

    Args:
        params: the dataset.
        name: its name, for the progress bar.
        seed: of the splits and the limit.
        skipped: the lines that cannot be used are appended here.

    Returns:
        Rows of a line table, on disk, with a column `digest`, the digests of their images.

    Raises:
        NetchuError: the input is missing or damaged, or has too few writers.
    """
    read = load_handwriting(params.source).parse(Path(params.input), params.levels)
    listed = published_split(params.source) if params.split == "published" else None
    usable = _usable_lines(track(read, f"reading {name}", transient=True), skipped, listed)
    stored = store_lines(usable)
    lines = _without_repeated_images(stored.assign(digest=image_digests(stored)), skipped)
    return _limit_lines(assign_splits(lines, params, seed), params.limit, seed)


def _usable_lines(
    lines: Iterable[Line | Skipped], skipped: list[Skipped], listed: dict[str, str] | None
) -> Iterator[Line]:
    """Yield the lines that can be used and append the others to `skipped`.

    With a published split, yield the `listed` lines only, with their splits.
    """
    missing = dict.fromkeys(listed or ())
    for line in lines:
        missing.pop(published_id(line.id), None)
        if isinstance(line, Skipped):
            skipped.append(line)
            continue
        text = normalise(line.text)
        if not text:
            skipped.append(Skipped(line.id, "empty label"))
        elif outside := sorted(set(text) - set(ALPHABET)):
            names = ", ".join(f"{letter!r} (U+{ord(letter):04X})" for letter in outside)
            skipped.append(Skipped(line.id, f"outside the alphabet: {names}"))
        elif listed is not None and published_id(line.id) not in listed:
            skipped.append(Skipped(line.id, "not in the published split"))
        else:
            split = listed[published_id(line.id)] if listed is not None else line.split
            yield replace(line, text=text, split=split)
    skipped += [Skipped(id_, "in the published split, not in this copy") for id_ in missing]


def _without_repeated_images(lines: pd.DataFrame, skipped: list[Skipped]) -> pd.DataFrame:
    """Return the first line of each image and append the others to `skipped`.

    The column `digest` says which images are equal.
    """
    first_of: dict[int, int] = {}
    for group in groups_by_key(lines[["digest"]], "digest"):
        repeated = group[group.duplicated()]["digest"]
        if len(repeated):
            firsts = group.drop_duplicates()["digest"]
            row_of = dict(zip(firsts, firsts.index.tolist(), strict=True))
            rows = repeated.index.tolist()
            first_of |= zip(rows, map(row_of.__getitem__, repeated), strict=True)
    ids = lines["id"].array
    kept = np.ones(len(lines), np.bool_)
    for row, first in sorted(first_of.items()):
        kept[row] = False
        skipped.append(Skipped(ids[row], f"repeated image: {ids[first]}"))
    return select_rows(lines, kept)


def _limit_lines(lines: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """Return at most `limit` random lines of each split and level, in their order; 0 keeps all."""
    if not limit:
        return lines
    order = np.empty(len(lines), np.uint64)
    for part in frame_parts(lines):
        hashes = (seeded_hash(seed, "limit", id_) for id_ in part["id"])
        order[part.index] = [int(found[:16], 16) for found in hashes]
    kept = np.zeros(len(lines), np.bool_)
    for _, _, members in _by_split_and_level(lines):
        last = min(limit, members.sum()) - 1
        kept |= members & (order <= np.partition(order[members], last)[last])
    return select_rows(lines, kept)


def _by_split_and_level(lines: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield each split and level that lines have, and which lines these are."""
    of_split, of_level = (
        {value: equal_to(lines[name], value) for value in sorted(lines[name].unique())}
        for name in ("split", "level")
    )
    for split, level in product(of_split, of_level):
        if (members := of_split[split] & of_level[level]).any():
            yield split, level, members


def _summary(lines: pd.DataFrame, skipped: list[Skipped]) -> dict[str, object]:
    """Count the lines.

    Raises:
        NetchuError: a writer or an image is in two splits.
    """
    shared = check_leaks(lines)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for split, level, members in _by_split_and_level(lines):
        counts[split][level] = int(members.sum())
    reasons = Counter(line.reason.split(":", 1)[0] for line in skipped)
    return {
        "lines": counts,
        "writers": _writers_by_split(lines),
        "skipped": dict(sorted(reasons.items())),
        "texts_in_several_splits": shared,
    }


def _writers_by_split(lines: pd.DataFrame) -> dict[str, int]:
    """Return the number of known writers of each split that has one; each is in one split."""
    split_of: dict[str, str] = {}
    for part in frame_parts(lines):
        split_of |= zip(part["writer"], part["split"], strict=True)
    split_of.pop("", None)
    return dict(sorted(Counter(split_of.values()).items()))
