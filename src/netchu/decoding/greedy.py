"""Greedy CTC decoding: the most probable class at each time step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_ALTERNATIVES = 4
"""Number of other classes that an emission lists at most."""

MIN_ALTERNATIVE_PROBABILITY = 0.01
"""Less probable alternatives are not listed."""


@dataclass(frozen=True)
class Emission:
    """One decoded character.

    Attributes:
        id: class of the character.
        probability: the highest probability of the class within its time steps.
        begin: first time step.
        end: time step after the last one.
        alternatives: other classes at the step of `probability`, without the blank, as
            (id, probability), most probable first.
    """

    id: int
    probability: float
    begin: int
    end: int
    alternatives: tuple[tuple[int, float], ...]


DecodeFunction = Callable[[NDArray[np.float32]], list[Emission]]
"""Turns class probabilities (T, V) into the characters of a line."""


def greedy_decode(probabilities_TV: NDArray[np.float32], blank: int = 0) -> list[Emission]:
    """Take the most probable class at each step, then merge repeats and drop blanks."""
    return collapse_path(probabilities_TV, probabilities_TV.argmax(1), blank)


def collapse_path(
    probabilities_TV: NDArray[np.float32], ids_T: NDArray[np.intp], blank: int = 0
) -> list[Emission]:
    """Collapse the path that takes class `ids_T[t]` at step t: merge repeats and drop blanks."""
    if not len(ids_T):
        return []
    begins = np.flatnonzero(np.r_[True, ids_T[1:] != ids_T[:-1]])
    ends = np.r_[begins[1:], len(ids_T)]
    is_character = ids_T[begins] != blank
    emissions = []
    for begin, end in zip(begins[is_character].tolist(), ends[is_character].tolist(), strict=True):
        id = int(ids_T[begin])
        best = begin + int(probabilities_TV[begin:end, id].argmax())
        row_V = probabilities_TV[best]
        emissions.append(
            Emission(id, float(row_V[id]), begin, end, _alternatives(row_V, (blank, id)))
        )
    return emissions


def _alternatives(
    probabilities_V: NDArray[np.float32], excluded: tuple[int, ...]
) -> tuple[tuple[int, float], ...]:
    """Return the most probable classes of one step and their probabilities."""
    probable = np.flatnonzero(probabilities_V >= MIN_ALTERNATIVE_PROBABILITY)
    ordered = probable[np.argsort(-probabilities_V[probable], kind="stable")]
    kept = [id for id in ordered.tolist() if id not in excluded][:MAX_ALTERNATIVES]
    return tuple((id, float(probabilities_V[id])) for id in kept)
