"""CTC forced alignment: the time steps at which the characters of a known text stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def force_align(
    probabilities_TV: NDArray[np.float32], ids: Sequence[int], blank: int = 0
) -> NDArray[np.intp]:
    """Return the most probable CTC path that collapses to `ids` (Viterbi).

    Args:
        probabilities_TV: class probabilities at each time step.
        ids: classes of the text, without blanks. They must fit: the path needs one step per id,
            and one more between two equal neighbours.
        blank: class of the blank.

    Returns:
        The class at each time step, shape (T,).
    """
    states_S = np.full(2 * len(ids) + 1, blank, np.intp)
    states_S[1::2] = ids
    skips_S = np.zeros(len(states_S), np.bool_)  # the blank between unequal classes is optional
    skips_S[2:] = (states_S[2:] != blank) & (states_S[2:] != states_S[:-2])
    costs_TV = -np.log(np.maximum(probabilities_TV, np.float32(1e-30)))
    # Lowest cost of each state when it is reached from itself, from the previous state and from
    # the one before that.
    best_3S = np.full((3, len(states_S)), np.inf)
    best_3S[0, :2] = costs_TV[0, states_S[:2]]
    from_TS = np.zeros((len(costs_TV), len(states_S)), np.int8)
    columns_S = np.arange(len(states_S))
    for step in range(1, len(costs_TV)):
        best_3S[1, 1:] = best_3S[0, :-1]
        best_3S[2, 2:] = np.where(skips_S[2:], best_3S[0, :-2], np.inf)
        from_TS[step] = best_3S.argmin(0)
        best_3S[0] = best_3S[from_TS[step], columns_S] + costs_TV[step, states_S]
    state = int(len(states_S) - 2 + best_3S[0, -2:].argmin()) if ids else 0
    path_T = np.empty(len(costs_TV), np.intp)
    for step in range(len(costs_TV) - 1, -1, -1):
        path_T[step] = states_S[state]
        state -= int(from_TS[step, state])
    return path_T
