"""From a source or a synthetic table to a line table ready for training.

Here every line gets its split, and what cannot be used is left out with a reason: nothing is
dropped in silence.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.progress import track

from netchu.core.errors import NetchuError
from netchu.core.params import DatasetParams
from netchu.core.text import ALPHABET, normalise
from netchu.data.contact_sheet import contact_sheet
from netchu.data.line_table import Line, Skipped, check_leaks, write_table
from netchu.data.parse import load_handwriting
from netchu.data.splits import assign, lot
from netchu.imaging.images import encode


def preprocess(params: DatasetParams, name: str, seed: int, out: Path) -> None:
    """Write the line table of dataset `name` to `out`, with what else tells of it.

    That is `skipped.csv`, `summary.json` and `sheet.png`, some training lines to look at.

    The summary counts lines by split and level, writers by split, skipped lines by reason, and
    the texts that stand in several splits (no leak, but worth knowing).

    Raises:
        NetchuError: the input is missing or broken, nothing is left, or a writer or image would
            stand in two splits.
    """
    skipped: list[Skipped] = []
    lines = split_lines(params, name, seed, skipped)
    if not lines:
        raise NetchuError(
            f"dataset {name}: no line is left of {params.input} at levels "
            f"{', '.join(params.levels)} ({len(skipped)} skipped); check input and levels"
        )
    shared = check_leaks(
        pd.DataFrame(
            [(line.writer, line.image, line.text, line.split) for line in lines],
            columns=["writer", "image", "text", "split"],
        )
    )
    # All is written before the folder gets its name, so that it appears whole.
    whole = out.with_name(out.name + ".whole")
    write_table(lines, whole, skipped)
    summary = json.dumps(_summary(lines, skipped, shared), indent=1, ensure_ascii=False)
    (whole / "summary.json").write_text(summary + "\n", encoding="utf-8")
    shown = sorted((line for line in lines if line.split == "train"), key=lambda i: lot(seed, i.id))
    (whole / "sheet.png").write_bytes(encode(contact_sheet(shown)))
    shutil.rmtree(out, ignore_errors=True)
    whole.rename(out)


def split_lines(params: DatasetParams, name: str, seed: int, skipped: list[Skipped]) -> list[Line]:
    """The lines of dataset `name` with their splits; what cannot be used goes to `skipped`.

    Whatever else builds on a dataset's training lines asks here: splits are drawn among all the
    writers that are left, and copies of lines beyond the limit would smuggle them in.

    Raises:
        NetchuError: the input is missing or broken, or has too few writers.
    """
    read = load_handwriting(params.source).parse(Path(params.input), params.levels)
    sound = _sound(track(read, f"reading {name}", transient=True), skipped)
    return _limit(assign(sound, params, seed), params.limit, seed)


def _sound(lines: Iterable[Line | Skipped], skipped: list[Skipped]) -> Iterator[Line]:
    """The lines that can be used; the others go to `skipped`."""
    seen: dict[bytes, str] = {}
    for line in lines:
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
        elif digest in seen:
            skipped.append(Skipped(line.id, f"repeated image: {seen[digest]}"))
        else:
            seen[digest] = line.id
            yield replace(line, text=text)


def _limit(lines: list[Line], limit: int, seed: int) -> list[Line]:
    """At most `limit` lines of each split and level, drawn by lot, in their old order."""
    if not limit:
        return lines
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.split, line.level].append(line)
    kept: set[str] = set()
    for group in groups.values():
        kept.update(
            sorted((line.id for line in group), key=lambda i: lot(seed, "limit", i))[:limit]
        )
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
