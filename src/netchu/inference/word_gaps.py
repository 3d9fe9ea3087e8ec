"""Placing the boundaries of words at the paper between them.

CTC emits a character near its middle and a space anywhere between two words, so boundaries that
come from time steps alone cut letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from netchu.decoding.greedy import Emission

MIN_INK = 0.35
"""Pixels of at least this value are ink; 0 is paper."""
TOLERANCE = 1
"""Pixels of ink that a column of paper may have more than the emptiest one, as of a ruled line."""


def move_to_paper(
    boundaries: Sequence[float],
    emissions: Sequence[Emission],
    space: int,
    image_HW: NDArray[np.float32],
    step: float,
) -> list[float]:
    """Return the boundaries with those of spaces and of the line moved to the ends of the paper.

    Args:
        boundaries: of the characters in time steps, one more than there are characters.
        emissions: the characters.
        space: class of the space.
        image_HW: the prepared line.
        step: pixels of the line per time step.
    """
    if not emissions:
        return list(boundaries)
    ink_W = np.count_nonzero(image_HW >= MIN_INK, axis=0)
    steps = len(ink_W) / step
    moved = list(boundaries)
    _, moved[0] = _widest_paper(ink_W, 0, emissions[0].end, step)
    moved[-1], _ = _widest_paper(ink_W, emissions[-1].begin, steps, step)
    for i in range(1, len(emissions) - 1):
        if emissions[i].id == space:
            begin = max(moved[i - 1], emissions[i - 1].begin)
            moved[i], moved[i + 1] = _widest_paper(ink_W, begin, emissions[i + 1].end, step)
    # Two spaces, or one at an end, may have taken the same paper.
    return list(accumulate(moved, max))


def _widest_paper(
    ink_W: NDArray[np.int64], begin: float, end: float, step: float
) -> tuple[float, float]:
    """Return where the widest run of paper between two time steps begins and ends."""
    first = min(round(begin * step), len(ink_W) - 1)
    columns = ink_W[first : max(first + 1, round(end * step))]
    is_paper = np.concatenate([[0], columns <= columns.min() + TOLERANCE, [0]])
    starts, stops = np.diff(is_paper).nonzero()[0].reshape(-1, 2).T
    widest = int((stops - starts).argmax())
    return (first + int(starts[widest])) / step, (first + int(stops[widest])) / step
