"""Reading all lines of a table with a recogniser."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from netchu.data.batches import frame_batches
from netchu.decoding.readings import Reading
from netchu.models.base import Recogniser, Transcribe


def read_lines(
    recogniser: Recogniser,
    lines: pd.DataFrame,
    batch_size: int,
    transcribe: Transcribe | None = None,
    advance: Callable[[int], object] = lambda lines: None,
) -> list[Reading]:
    """Return the readings of a line table's rows, in their order.

    Args:
        recogniser: it is put into evaluation mode.
        lines: rows of a line table.
        batch_size: most lines of a batch.
        transcribe: one of the recogniser's `variants()` instead of its `transcribe`.
        advance: called after each batch with its number of lines.
    """
    recogniser.eval()
    transcribe = transcribe or recogniser.transcribe
    batches = frame_batches(lines, recogniser.preprocessing, batch_size)
    assert batches.batch_sampler is not None
    readings: dict[int, Reading] = {}
    for rows, batch in zip(batches.batch_sampler, batches, strict=True):
        readings |= zip(rows, transcribe(batch.to(recogniser.device)), strict=True)
        advance(len(rows))
    return [readings[row] for row in range(len(lines))]
