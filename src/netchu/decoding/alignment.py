"""CTC forced alignment of a text that differs little from the greedy one, as that of a beam search.

It is Viterbi's algorithm without looking at every state at every time step. No path is more
probable than the greedy one, and paths that are much less probable are dropped; one that is more
probable than all that were dropped is the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

FIRST_LIMIT = 6.0
"""Nats that a path may cost more than the greedy one; doubled until a path is found."""

ROUNDING = 1e-6
"""Nats by which sums of costs are off at most."""


def align_near_greedy(
    probabilities_TV: NDArray[np.float32], ids: Sequence[int], blank: int = 0
) -> list[int]:
    """Return the most probable CTC path that collapses to `ids`, a class for each time step.

    Args:
        probabilities_TV: class probabilities at each time step.
        ids: classes of the text, without blanks. They must fit: the path needs one step per id,
            and one more between two equal neighbours.
        blank: class of the blank.
    """
    states_S = [blank] * (2 * len(ids) + 1)
    states_S[1::2] = ids
    classes = list(dict.fromkeys(states_S))
    columns_S = list(map(classes.index, states_S))
    least = np.float32(1e-30)
    costs = (-np.log(np.maximum(probabilities_TV[:, classes], least))).tolist()
    lowest = (-np.log(np.maximum(probabilities_TV.max(1), least))).tolist()
    limit = FIRST_LIMIT
    while not (path := _cheapest_path(costs, lowest, columns_S, limit)):
        limit *= 2
    return [states_S[state] for state in path]


def _cheapest_path(
    costs_TC: list[list[float]], lowest_T: list[float], columns_S: list[int], limit: float
) -> list[int]:
    """Return the states of the cheapest path, none if it may cost more than greedy and `limit`.

    Args:
        costs_TC: costs of the classes at each time step.
        lowest_T: cost of the greedy path at each time step.
        columns_S: class of each state: a blank (0), the first letter, a blank, …
        limit: nats.
    """
    last = len(columns_S) - 1
    following = [list(range(state, min(state + 2, last + 1))) for state in range(last + 1)]
    for state, (column, after) in enumerate(pairwise(columns_S[1::2])):
        if column != after:  # the blank between unequal classes is optional
            following[2 * state + 1].append(2 * state + 3)
    following.append(following[0])  # of the beginning, before the first time step
    reached = {last + 1: 0.0}
    origins_T: list[dict[int, int]] = []
    greedy_cost = 0.0
    for costs, lowest in zip(costs_TC, lowest_T, strict=True):
        greedy_cost += lowest
        bound, step_bound = greedy_cost + limit, lowest + limit
        before: dict[int, float] = {}
        origins: dict[int, int] = {}
        # States ascend, so of equally cheap ones before a state the nearest is taken.
        for state, cost in reached.items():
            for after in following[state]:
                if costs[columns_S[after]] <= step_bound and cost <= before.get(after, inf):
                    before[after] = cost
                    origins[after] = state
        origins_T.append(origins)
        reached = {}
        for state in sorted(before):
            cost = before[state] + costs[columns_S[state]]
            if cost <= bound:
                reached[state] = cost
    cost, state = min((reached.get(state, inf), state) for state in (max(0, last - 1), last))
    if cost > greedy_cost + limit - ROUNDING:
        return []
    path = []
    for origins in reversed(origins_T):
        path.append(state)
        state = origins[state]
    return path[::-1]
