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

from netchu.errors import NetchuError
from netchu.lines import Line, Skipped, check_leaks, write_table
from netchu.params import DatasetParams
from netchu.sources import load_handwriting
from netchu.text import ALPHABET, normalise


def preprocess(params: DatasetParams, name: str, seed: int, out: Path) -> None:
    """Write the line table of dataset `name` to `out`, with `skipped.csv` and `summary.json`.

    The summary counts lines by split and level, writers by split, skipped lines by reason, and
    the texts that stand in several splits (no leak, but worth knowing).

    Raises:
        NetchuError: the input is missing or broken, nothing is left, or a writer or image would
            stand in two splits.
    """
    skipped: list[Skipped] = []
    read = load_handwriting(params.source).parse(Path(params.input), params.levels)
    sound = list(_sound(track(read, f"reading {name}", transient=True), skipped))
    lines = _limit(_split(sound, params, seed), params.limit, seed)
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
    # The summary is written before the folder gets its name, so that both appear together.
    whole = out.with_name(out.name + ".whole")
    write_table(lines, whole, skipped)
    summary = json.dumps(_summary(lines, skipped, shared), indent=1, ensure_ascii=False)
    (whole / "summary.json").write_text(summary + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    whole.rename(out)


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


def _split(lines: list[Line], params: DatasetParams, seed: int) -> list[Line]:
    """Give every line without a split its own: by writer, or by text where no writer is known."""
    open_lines = [line for line in lines if not line.split]
    by_writer = _split_writers({line.writer for line in open_lines if line.writer}, params, seed)
    return [
        line
        if line.split
        else replace(line, split=by_writer.get(line.writer) or _split_text(line.text, params, seed))
        for line in lines
    ]


def _split_writers(writers: set[str], params: DatasetParams, seed: int) -> dict[str, str]:
    """Writers in the order of their hash: the first are for testing, the next for validation.

    The order does not depend on the level, so words and lines of one source hold out the same
    writers. A share above 0 holds out one writer at least.
    """
    if not writers:
        return {}
    ordered = sorted(writers, key=lambda writer: _lot(seed, params.source, writer))
    counts = {
        split: max(1, round(share * len(ordered))) if share else 0
        for split, share in (("test", params.test_share), ("val", params.val_share))
    }
    if sum(counts.values()) >= len(ordered):
        raise NetchuError(
            f"{len(ordered)} writers are too few to hold out shares {params.val_share} and "
            f"{params.test_share}; lower val_share or test_share"
        )
    splits = ["test"] * counts["test"] + ["val"] * counts["val"]
    return dict(zip(ordered, splits + ["train"] * (len(ordered) - len(splits)), strict=True))


def _split_text(text: str, params: DatasetParams, seed: int) -> str:
    """Equal texts fall on the same side."""
    place = int(_lot(seed, params.source, text)[:13], 16) / 16**13
    if place < params.test_share:
        return "test"
    return "val" if place < params.test_share + params.val_share else "train"


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
            sorted((line.id for line in group), key=lambda i: _lot(seed, "limit", i))[:limit]
        )
    return [line for line in lines if line.id in kept]


def _lot(seed: int, *parts: str) -> str:
    """A number drawn for `parts`: the same in every run with this seed."""
    return hashlib.sha256("\0".join([str(seed), *parts]).encode()).hexdigest()


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
