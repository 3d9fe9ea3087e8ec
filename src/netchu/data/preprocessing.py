"""From a source or a synthetic table to a line table with splits.

Every line gets its split. Lines that cannot be used are listed with a reason in `skipped.csv`.
"""

from __future__ import annotations

import hashlib
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
from netchu.data.contact_sheet import contact_sheet
from netchu.data.line_table import Line, Skipped, check_leaks, write_table
from netchu.data.parse import load_handwriting
from netchu.data.published_splits import published_id, published_split
from netchu.data.splits import assign_splits, seeded_hash
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
    if not lines:
        raise NetchuError(
            f"dataset {name}: no lines are left of {params.input} at levels "
            f"{', '.join(params.levels)} ({len(skipped)} skipped); check input and levels"
        )
    shared = check_leaks(
        pd.DataFrame(
            [(line.writer, line.image, line.text, line.split) for line in lines],
            columns=["writer", "image", "text", "split"],
        )
    )
    summary = json.dumps(_summary(lines, skipped, shared), indent=1, ensure_ascii=False)
    training = [line for line in lines if line.split == "train"]
    shown = sorted(training, key=lambda line: seeded_hash(seed, line.id))
    with new_folder(out) as partial:
        write_table(lines, partial, skipped)
        (partial / "summary.json").write_text(summary + "\n", encoding="utf-8")
        (partial / "sheet.png").write_bytes(encode(contact_sheet(shown)))


def split_lines(params: DatasetParams, name: str, seed: int, skipped: list[Skipped]) -> list[Line]:
    """Read the lines of a dataset and assign their splits.

    Synthesis from training lines calls this as well, because a split depends on all writers that
    are left, and lines beyond the limit must not come back as copies.

    Args:
        params: the dataset.
        name: its name, for the progress bar.
        seed: of the splits and the limit.
        skipped: the lines that cannot be used are appended here.

    Raises:
        NetchuError: the input is missing or damaged, or has too few writers.
    """
    read = load_handwriting(params.source).parse(Path(params.input), params.levels)
    listed = published_split(params.source) if params.split == "published" else None
    usable = _usable_lines(track(read, f"reading {name}", transient=True), skipped, listed)
    return _limit_lines(assign_splits(usable, params, seed), params.limit, seed)


def _usable_lines(
    lines: Iterable[Line | Skipped], skipped: list[Skipped], listed: dict[str, str] | None
) -> Iterator[Line]:
    """Yield the lines that can be used and append the others to `skipped`.

    With a published split, yield the `listed` lines only, with their splits.
    """
    seen: dict[bytes, str] = {}
    missing = dict.fromkeys(listed or ())
    for line in lines:
        missing.pop(published_id(line.id), None)
        if isinstance(line, Skipped):
            skipped.append(line)
            continue
        text = normalise(line.text)
        digest = hashlib.sha256(line.image).digest()
        if not text:
            skipped.append(Skipped(line.id, "empty label"))
        elif outside := sorted(set(text) - set(ALPHABET)):
            names = ", ".join(f"{letter!r} (U+{ord(letter):04X})" for letter in outside)
            skipped.append(Skipped(line.id, f"outside the alphabet: {names}"))
        elif listed is not None and published_id(line.id) not in listed:
            skipped.append(Skipped(line.id, "not in the published split"))
        elif digest in seen:
            skipped.append(Skipped(line.id, f"repeated image: {seen[digest]}"))
        else:
            seen[digest] = line.id
            split = listed[published_id(line.id)] if listed is not None else line.split
            yield replace(line, text=text, split=split)
    skipped += [Skipped(id_, "in the published split, not in this copy") for id_ in missing]


def _limit_lines(lines: list[Line], limit: int, seed: int) -> list[Line]:
    """Return at most `limit` random lines of each split and level, in their order; 0 keeps all."""
    if not limit:
        return lines
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.split, line.level].append(line)
    kept: set[str] = set()
    for group in groups.values():
        ids = sorted((line.id for line in group), key=lambda id_: seeded_hash(seed, "limit", id_))
        kept.update(ids[:limit])
    return [line for line in lines if line.id in kept]


def _summary(lines: list[Line], skipped: list[Skipped], shared: int) -> dict[str, object]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    writers: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        counts[line.split][line.level] += 1
        if line.writer:
            writers[line.split].add(line.writer)
    reasons = Counter(line.reason.split(":", 1)[0] for line in skipped)
    return {
        "lines": {split: dict(sorted(levels.items())) for split, levels in sorted(counts.items())},
        "writers": {split: len(names) for split, names in sorted(writers.items())},
        "skipped": dict(sorted(reasons.items())),
        "texts_in_several_splits": shared,
    }
