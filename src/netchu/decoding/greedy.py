"""Greedy decoding: the best class at each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALTERNATIVES = 4
"""At most so many other classes are named beside an emitted one."""

LEAST_PROBABILITY = 0.01
"""Less likely alternatives are not named."""


@dataclass(frozen=True)
class Emission:
    """One character that a decoder wrote.

    id: its class. probability: the best of its time steps begin ≤ t < end. alternatives: the other
    classes at that step but the blank, and their probabilities, best first.
    """

    id: int
    probability: float
    begin: int
    end: int
    alternatives: tuple[tuple[int, float], ...]


Decode = Callable[[NDArray[np.float32]], list[Emission]]
"""Of probabilities (T, V) of classes at each time step, the characters that they write."""


def greedy(probabilities_TV: NDArray[np.float32], blank: int = 0) -> list[Emission]:
    """The best class at each step, repeats joined, blanks dropped."""
    return emissions(probabilities_TV, probabilities_TV.argmax(1), blank)


def emissions(
    probabilities_TV: NDArray[np.float32], ids_T: NDArray[np.intp], blank: int = 0
) -> list[Emission]:
    """What a path writes that takes class ids_T[t] at step t: repeats joined, blanks dropped."""
    if not len(ids_T):
        return []
    begins = np.flatnonzero(np.r_[True, ids_T[1:] != ids_T[:-1]])
    ends = np.r_[begins[1:], len(ids_T)]
    written = ids_T[begins] != blank
    found = []
    for begin, end in zip(begins[written].tolist(), ends[written].tolist(), strict=True):
        written_id = int(ids_T[begin])
        surest = begin + int(probabilities_TV[begin:end, written_id].argmax())
        row_V = probabilities_TV[surest]
        others = _alternatives(row_V, (blank, written_id))
        found.append(Emission(written_id, float(row_V[written_id]), begin, end, others))
    return found


def _alternatives(
    probabilities_V: NDArray[np.float32], without: tuple[int, ...]
) -> tuple[tuple[int, float], ...]:
    """The likeliest classes of one step but those in `without`, with their probabilities."""
    likely = np.flatnonzero(probabilities_V >= LEAST_PROBABILITY)
    ordered = likely[np.argsort(-probabilities_V[likely], kind="stable")]
    kept = [i for i in ordered.tolist() if i not in without][:ALTERNATIVES]
    return tuple((i, float(probabilities_V[i])) for i in kept)
