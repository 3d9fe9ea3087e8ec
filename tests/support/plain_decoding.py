"""The searches of `netchu.decoding` as their papers state them: slower, to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from netchu.decoding.beam import (
    BEAM_WIDTH,
    BLANK,
    MAX_CLASSES_PER_STEP,
    MIN_CLASS_PROBABILITY,
    PRUNING_RATIO,
    BeamDecoder,
    _rescore_emission,
)
from netchu.decoding.greedy import Emission, collapse_path, greedy_decode
from netchu.decoding.language_model import Context


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


class _Prefix:
    """A prefix as its last class and the prefix before it."""

    __slots__ = ("children", "context", "factor", "id", "parent")

    def __init__(self, parent: _Prefix | None, id: int, factor: float, context: Context) -> None:
        self.parent = parent
        self.id = id
        self.factor = factor
        self.context = context
        self.children: dict[int, _Prefix] = {}


_Beam = list[tuple[_Prefix, float, float]]
"""Prefixes with the probability of their paths that end in a blank and of those that end in the
last class, relative to the best prefix so that nothing underflows."""


class PlainBeamDecoder(BeamDecoder):
    """Prefix beam search (Hannun et al. 2014), a dictionary of prefixes at every step.

    With a language model, prefixes that end alike are recombined as `BeamDecoder` does.
    """

    def decode(self, probabilities_TV: NDArray[np.float32]) -> list[Emission]:
        """Return the characters of the best text.

        Their probabilities take the language model into account and are scaled.
        """
        if not len(probabilities_TV):
            return []
        ids = self.search(probabilities_TV)
        emissions = greedy_decode(probabilities_TV, BLANK)
        if ids != [emission.id for emission in emissions]:
            path_T = force_align(probabilities_TV, ids, BLANK)
            emissions = collapse_path(probabilities_TV, path_T, BLANK)
        return self._rescore(emissions)

    def _rescore(self, emissions: list[Emission]) -> list[Emission]:
        """Weight each character and its alternatives by the language model, given the text before.

        The probability that the network gives to the blank and to unlisted classes is not weighted.
        """
        context = self._model.start
        rescored = []
        for emission in emissions:
            options = [(emission.id, emission.probability), *emission.alternatives]
            rest = max(0.0, 1 - sum(probability for _, probability in options))
            steps = [self._model.step(context, self._symbols[id]) for id, _ in options]
            weights = [p * factor for (_, p), (factor, _) in zip(options, steps, strict=True)]
            rescored.append(_rescore_emission(emission, weights, rest, self._scaling))
            context = steps[0][1]
        return rescored

    def search(self, probabilities_TV: NDArray[np.float32]) -> list[int]:
        """Return the classes of the best text."""
        beam: _Beam = [(_Prefix(None, BLANK, 1.0, self._model.start), 1.0, 0.0)]
        blanks = probabilities_TV[:, BLANK].tolist()
        for blank, candidates in zip(blanks, tried_classes(probabilities_TV), strict=True):
            if candidates:
                beam = _prune(self._extend(beam, blank, candidates))
                if self._recombines:
                    beam = _recombine(beam)
            else:
                beam = [(prefix, a + b, 0.0) for prefix, a, b in beam]
        best, _, _ = max(beam, key=self._final_score)
        return _ids(best)

    def _extend(
        self, beam: _Beam, blank: float, candidates: list[tuple[int, float]]
    ) -> dict[_Prefix, list[float]]:
        """Take one time step: every prefix emits a blank, repeats its class or gets a new one."""
        extended: dict[_Prefix, list[float]] = {}
        for prefix, after_blank, after_class in beam:
            total = after_blank + after_class
            same = extended.get(prefix) or extended.setdefault(prefix, [0.0, 0.0])
            same[0] += total * blank
            for id, probability in candidates:
                score = total * probability
                if id == prefix.id:  # a repeated class is a second character only after a blank
                    same[1] += after_class * probability
                    score = after_blank * probability
                if score >= PRUNING_RATIO:
                    child = prefix.children.get(id) or self._add_child(prefix, id)
                    scores = extended.get(child) or extended.setdefault(child, [0.0, 0.0])
                    scores[1] += score * child.factor
        return extended

    def _add_child(self, prefix: _Prefix, id: int) -> _Prefix:
        factor, context = self._model.step(prefix.context, self._symbols[id])
        child = prefix.children[id] = _Prefix(prefix, id, factor, context)
        return child

    def _final_score(self, entry: tuple[_Prefix, float, float]) -> float:
        """Score a prefix as a whole text: the language model has to accept the end of its word."""
        prefix, after_blank, after_class = entry
        factor, _ = self._model.step(prefix.context, self._model.space)
        return (after_blank + after_class) * factor


def tried_classes(probabilities_TV: NDArray[np.float32]) -> list[list[tuple[int, float]]]:
    """Return the classes to try at each step, with their probabilities."""
    tried_TV = probabilities_TV >= MIN_CLASS_PROBABILITY
    tried_TV[:, BLANK] = False
    limit = MAX_CLASSES_PER_STEP * len(probabilities_TV)
    probable = probabilities_TV[tried_TV]
    if len(probable) > limit:
        tried_TV &= probabilities_TV > np.partition(probable, -limit - 1)[-limit - 1]
    steps, ids = np.nonzero(tried_TV)
    pairs = list(zip(ids.tolist(), probabilities_TV[steps, ids].tolist(), strict=True))
    begins = np.searchsorted(steps, np.arange(len(probabilities_TV) + 1)).tolist()
    return [pairs[begin:end] for begin, end in pairwise(begins)]


def _prune(extended: dict[_Prefix, list[float]]) -> _Beam:
    """Keep the most probable prefixes, with the best one scaled to 1."""
    best = max(a + b for a, b in extended.values())
    threshold = best * PRUNING_RATIO
    kept = [
        (prefix, a / best, b / best) for prefix, (a, b) in extended.items() if a + b >= threshold
    ]
    return kept if len(kept) <= BEAM_WIDTH else nlargest(BEAM_WIDTH, kept, key=_total)


def _recombine(beam: _Beam) -> _Beam:
    """Keep the most probable of the prefixes that end alike for the language model."""
    ends = [(prefix.id, prefix.context[:2]) for prefix, *_ in beam]
    return [max((e for e, end in zip(beam, ends, strict=True) if end == own), key=_total)
            for own in dict.fromkeys(ends)]  # fmt: skip


def _total(entry: tuple[_Prefix, float, float]) -> float:
    return entry[1] + entry[2]


def _ids(prefix: _Prefix) -> list[int]:
    ids: list[int] = []
    while prefix.parent is not None:
        ids.append(prefix.id)
        prefix = prefix.parent
    return ids[::-1]
