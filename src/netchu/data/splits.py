"""Random train, validation and test splits.

The split of a line depends only on the seed, the source and the writer (or the text), so every
stage computes the same splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.params import DatasetParams
from netchu.data.stored_frames import frame_parts, store_strings


def assign_splits(lines: pd.DataFrame, params: DatasetParams, seed: int) -> pd.DataFrame:
    """Assign a split to every line without one, by writer, or by text if the writer is unknown.

    Args:
        lines: rows of a line table; the split is '' where there is none.
        params: the dataset.
        seed: of the splits.

    Raises:
        NetchuError: there are too few writers.
    """
    unassigned: set[str] = set()
    for part in frame_parts(lines):
        unassigned.update(part.loc[part["split"] == "", "writer"])
    by_writer = split_writers(unassigned - {""}, params, seed)

    def splits() -> Iterator[list[str]]:
        for part in frame_parts(lines):
            columns = (part[name].tolist() for name in ("split", "writer", "text"))
            yield [
                split or by_writer.get(writer) or _split_text(text, params, seed)
                for split, writer, text in zip(*columns, strict=True)
            ]

    return lines.assign(split=store_strings(splits()))


def split_writers(writers: Collection[str], params: DatasetParams, seed: int) -> dict[str, str]:
    """Return the split of each writer.

    Writers are sorted by a seeded hash; the first are for testing, the next for validation. The
    level is not hashed, so words and lines of a source hold out the same writers. A share above 0
    holds out at least one writer.

    Raises:
        NetchuError: the shares leave no writer for training.
    """
    if not writers:
        return {}
    ordered = sorted(set(writers), key=lambda writer: seeded_hash(seed, params.source, writer))
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
    """Return the split of a text."""
    position = int(seeded_hash(seed, params.source, text)[:13], 16) / 16**13
    if position < params.test_share:
        return "test"
    return "val" if position < params.test_share + params.val_share else "train"


def seeded_hash(seed: int, *parts: str) -> str:
    """Return a hash of `seed` and `parts` in hexadecimal; a repeatable random sort key."""
    return hashlib.sha256("\0".join([str(seed), *parts]).encode()).hexdigest()
