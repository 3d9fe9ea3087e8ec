"""From a source or a synthetic table to a line table with splits.

Every line gets its split. Lines that cannot be used are listed with a reason in `skipped.csv`.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
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
    training = lines[lines["split"] == "train"]
    ids = training["id"].tolist()
    shown = heapq.nsmallest(
        SHEET_LINES, range(len(ids)), key=lambda row: seeded_hash(seed, ids[row])
    )
    sheet = StoredLines(training.iloc[shown])
    with new_folder(out) as partial:
        write_table(StoredLines(lines), partial, skipped)
        (partial / "summary.json").write_text(summary + "\n", encoding="utf-8")
        (partial / "sheet.png").write_bytes(encode(contact_sheet(sheet)))


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
        Rows of a line table, whose images are on disk.

    Raises:
        NetchuError: the input is missing or damaged, or has too few writers.
    """
    read = load_handwriting(params.source).parse(Path(params.input), params.levels)
    listed = published_split(params.source) if params.split == "published" else None
    usable = _usable_lines(track(read, f"reading {name}", transient=True), skipped, listed)
    lines = _without_repeated_images(store_lines(usable), skipped)
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
    """Return the first line of each image and append the others to `skipped`."""
    digests = image_digests(lines)
    repeated = digests.duplicated()
    first = lines.loc[~repeated & digests.isin(digests[repeated]), "id"]
    first_id = dict(zip(digests[first.index], first, strict=True))
    skipped += [
        Skipped(id_, f"repeated image: {first_id[digest]}")
        for id_, digest in zip(lines.loc[repeated, "id"], digests[repeated], strict=True)
    ]
    return lines[~repeated].reset_index(drop=True)


def _limit_lines(lines: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """Return at most `limit` random lines of each split and level, in their order; 0 keeps all."""
    if not limit:
        return lines
    kept: set[str] = set()
    for _, ids in lines["id"].groupby([lines["split"], lines["level"]]):
        kept.update(heapq.nsmallest(limit, ids, key=lambda id_: seeded_hash(seed, "limit", id_)))
    return lines[lines["id"].isin(kept)].reset_index(drop=True)


def _summary(lines: pd.DataFrame, skipped: list[Skipped]) -> dict[str, object]:
    """Count the lines.

    Raises:
        NetchuError: a writer or an image is in two splits.
    """
    shared = check_leaks(lines)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for split, level in sorted(set(zip(lines["split"], lines["level"], strict=True))):
        counts[split][level] = int(((lines["split"] == split) & (lines["level"] == level)).sum())
    writers = lines[lines["writer"] != ""].groupby("split")["writer"].nunique()
    reasons = Counter(line.reason.split(":", 1)[0] for line in skipped)
    return {
        "lines": counts,
        "writers": {split: int(number) for split, number in writers.items()},
        "skipped": dict(sorted(reasons.items())),
        "texts_in_several_splits": shared,
    }
