"""CTC prefix beam search, with a language model or without (Hannun et al. 2014, "First-pass large
vocabulary continuous speech recognition using bi-directional recurrent DNNs").

Plain Python is fast enough: at most steps the network leaves only one class and a few prefixes.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import nlargest
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netchu.decoding.alignment import force_align
from netchu.decoding.greedy import (
    MIN_ALTERNATIVE_PROBABILITY,
    Emission,
    collapse_path,
    greedy_decode,
)
from netchu.decoding.language_model import Context, LanguageModel, NoLanguageModel
from netchu.decoding.scaling import NO_SCALING, PlattScaling

BEAM_WIDTH = 8
"""Prefixes that are kept after each step."""

MIN_CLASS_PROBABILITY = 0.005
"""Less probable classes of a step are ignored."""

MAX_CLASSES_PER_STEP = 3
"""Classes that are tried per step, as a mean over the line; bounds the time of unreadable lines."""

PRUNING_RATIO = 1e-3
"""Prefixes less probable than this fraction of the best one are dropped, or not created."""

BLANK = 0


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


class BeamDecoder:
    """Finds the text that is most probable by the network and the language model together."""

    def __init__(
        self, alphabet: str, model_file: Path | None = None, scaling: PlattScaling = NO_SCALING
    ) -> None:
        """Load the language model.

        Args:
            alphabet: characters of the network; character i is class i + 1, class 0 is the blank.
            model_file: the language model; None finds the text that is most probable by the
                network alone, as the sum over its paths.
            scaling: scaling of the characters' confidences.

        Raises:
            NetchuError: `model_file` is not a language model.
        """
        self._model = LanguageModel(model_file) if model_file else NoLanguageModel()
        self._symbols = [0, *map(self._model.symbol, alphabet)]
        self._scaling = scaling

    def decode(self, probabilities_TV: NDArray[np.float32]) -> list[Emission]:
        """Return the characters of the best text.

        Their probabilities take the language model into account and are scaled.
        """
        if not len(probabilities_TV):
            return []
        ids = self._search(probabilities_TV)
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

    def _search(self, probabilities_TV: NDArray[np.float32]) -> list[int]:
        """Return the classes of the best text."""
        beam: _Beam = [(_Prefix(None, BLANK, 1.0, self._model.start), 1.0, 0.0)]
        blanks = probabilities_TV[:, BLANK].tolist()
        for blank, candidates in zip(blanks, _candidates(probabilities_TV), strict=True):
            if candidates:
                beam = _prune(self._extend(beam, blank, candidates))
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


def _rescore_emission(
    emission: Emission, weights: list[float], rest: float, scaling: PlattScaling
) -> Emission:
    """Normalise the weights of a class and its alternatives to probabilities.

    The scaled confidence of the class comes first; the alternatives share what it leaves.
    """
    others = rest + sum(weights[1:])
    confidence = scaling.apply(weights[0] / (weights[0] + others))
    shares = ((1 - confidence) * weight / others for weight in weights[1:])
    ids = (id for id, _ in emission.alternatives)
    ordered = sorted(zip(ids, shares, strict=True), key=lambda pair: -pair[1])
    kept = tuple(pair for pair in ordered if pair[1] >= MIN_ALTERNATIVE_PROBABILITY)
    return replace(emission, probability=confidence, alternatives=kept)


def _candidates(probabilities_TV: NDArray[np.float32]) -> list[list[tuple[int, float]]]:
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


def _total(entry: tuple[_Prefix, float, float]) -> float:
    return entry[1] + entry[2]


def _ids(prefix: _Prefix) -> list[int]:
    ids: list[int] = []
    while prefix.parent is not None:
        ids.append(prefix.id)
        prefix = prefix.parent
    return ids[::-1]
