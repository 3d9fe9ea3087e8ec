"""Which line is for training, which for validation and which for testing: drawn by lot.

A lot depends on the seed, the source and the writer (or the text) alone, so whoever asks, in
whatever stage, gets the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import replace

from netchu.core.errors import NetchuError
from netchu.core.params import DatasetParams
from netchu.data.line_table import Line


def assign(lines: Iterable[Line], params: DatasetParams, seed: int) -> list[Line]:
    """Give every line without a split its own: by writer, or by text where no writer is known.

    Raises:
        NetchuError: there are too few writers.
    """
    lines = list(lines)
    writers = {line.writer for line in lines if line.writer and not line.split}
    by_writer = split_writers(writers, params, seed)
    return [
        line
        if line.split
        else replace(line, split=by_writer.get(line.writer) or _split_text(line.text, params, seed))
        for line in lines
    ]


def split_writers(writers: Collection[str], params: DatasetParams, seed: int) -> dict[str, str]:
    """Writers in the order of their lots: the first are for testing, the next for validation.

    The order does not depend on the level, so words and lines of one source hold out the same
    writers. A share above 0 holds out one writer at least.

    Raises:
        NetchuError: the shares leave no writer for training.
    """
    if not writers:
        return {}
    ordered = sorted(set(writers), key=lambda writer: lot(seed, params.source, writer))
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
    place = int(lot(seed, params.source, text)[:13], 16) / 16**13
    if place < params.test_share:
        return "test"
    return "val" if place < params.test_share + params.val_share else "train"


def lot(seed: int, *parts: str) -> str:
    """A number drawn for `parts`, in hexadecimal: the same in every run with this seed."""
    return hashlib.sha256("\0".join([str(seed), *parts]).encode()).hexdigest()
