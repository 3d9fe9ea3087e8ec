"""CTC prefix beam search, with a language model or without (Hannun et al. 2014, "First-pass large
vocabulary continuous speech recognition using bi-directional recurrent DNNs").

Plain Python is fast enough: at most steps the network leaves only one class and a few prefixes.
Of prefixes that end alike, so that the language model finds the same continuations probable, only
the most probable one is kept, as in decoders of speech (Ney and Ortmanns 1999, "Dynamic programming
search for continuous speech recognition").

A step of the language model is taken once for each context and symbol of a line, because most
prefixes differ only in letters that lie too far back. The probability of a prefix is summed up at
once, from the prefix itself and the one before it. The search and the alternatives of characters
share one list of the probable classes.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netchu.decoding.alignment import align_near_greedy
from netchu.decoding.greedy import MAX_ALTERNATIVES, MIN_ALTERNATIVE_PROBABILITY, Emission
from netchu.decoding.language_model import Context, LanguageModel, NoLanguageModel
from netchu.decoding.scaling import NO_SCALING, PlattScaling

BEAM_WIDTH = 8
"""Prefixes that are kept after each step."""

MIN_CLASS_PROBABILITY = 0.005
"""Less probable classes of a step are ignored."""

MAX_CLASSES_PER_STEP = 3
"""Classes that are tried per step, as a mean over the line; bounds the time of unreadable lines."""

PRUNING_RATIO = 3e-3
"""Prefixes less probable than this fraction of the best one are dropped, or not created."""

BLANK = 0


_Classes = list[tuple[int, float]]
"""Classes of a time step with their probabilities, the blank left out."""

_MIN_ALTERNATIVE = float(np.float32(MIN_ALTERNATIVE_PROBABILITY))
"""The limit as probabilities in single precision are compared with it."""


class _Context:
    """A context of the language model, with the steps that were taken from it.

    Attributes:
        states: the states of both components, without their weights.
    """

    __slots__ = ("_known", "_model", "_steps", "_value", "states")

    def __init__(
        self,
        value: Context,
        model: LanguageModel | NoLanguageModel,
        known: dict[Context, _Context],
    ) -> None:
        self._value = value
        self.states = value[:2]
        self._model = model
        self._known = known
        self._steps: dict[int, tuple[float, _Context]] = {}

    def step(self, symbol: int) -> tuple[float, _Context]:
        """Return the score factor of one more symbol, and the context after it."""
        found = self._steps.get(symbol)
        if found is None:
            factor, value = self._model.step(self._value, symbol)
            after = self._known.get(value)
            if after is None:
                after = self._known[value] = _Context(value, self._model, self._known)
            found = self._steps[symbol] = factor, after
        return found


class _Prefix:
    """A prefix as its last class and the prefix before it.

    Attributes:
        parent, id: the prefix before it (None for the empty one) and its last class.
        factor, context: of the language model, after the last class.
        children: prefixes with one more class that have been in the beam.
        after_blank, after_class: probability of its paths that end in a blank, and in `id`.
        step: time step after which it was last in the beam.
    """

    __slots__ = (
        "after_blank", "after_class", "children", "context", "factor", "id", "parent", "step",
    )  # fmt: skip

    def __init__(self, parent: _Prefix | None, id: int, factor: float, context: _Context) -> None:
        self.parent = parent
        self.id = id
        self.factor = factor
        self.context = context
        self.children: dict[int, _Prefix] = {}
        self.after_blank, self.after_class = 1.0, 0.0
        self.step = -1

    @property
    def total(self) -> float:
        """The probability of all its paths."""
        return self.after_blank + self.after_class

    def ids(self) -> list[int]:
        """Return its classes."""
        ids, prefix = [], self
        while prefix.parent is not None:
            ids.append(prefix.id)
            prefix = prefix.parent
        return ids[::-1]


_Extension = tuple[float, float, float, _Prefix, int]
"""Probability of all paths of a prefix, of those that end in a blank and in a class, and the prefix
as a known one and one more class, or `BLANK` if it is the known one itself."""


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
        # Without a language model every prefix that ends in the same class would count as alike.
        self._recombines = model_file is not None
        self._symbols = [0, *map(self._model.symbol, alphabet)]
        self._scaling = scaling

    def decode(self, probabilities_TV: NDArray[np.float32]) -> list[Emission]:
        """Return the characters of the best text.

        Their probabilities take the language model into account and are scaled.
        """
        if not len(probabilities_TV):
            return []
        classes_T = _probable_classes(probabilities_TV)
        start = _Context(self._model.start, self._model, {})
        ids = self._best_text(probabilities_TV[:, BLANK].tolist(), _limited(classes_T), start)
        path = probabilities_TV.argmax(1).tolist()
        if ids != [id for id, _ in groupby(path) if id != BLANK]:
            path = align_near_greedy(probabilities_TV, ids, BLANK)
        chosen_T = probabilities_TV[np.arange(len(path)), path].tolist()
        return self._rescored(_collapse(path, chosen_T, classes_T), start)

    def _rescored(self, emissions: list[Emission], context: _Context) -> list[Emission]:
        """Weight each character and its alternatives by the language model, given the text before.

        The probability that the network gives to the blank and to unlisted classes is not weighted.
        """
        rescored = []
        for emission in emissions:
            options = [(emission.id, emission.probability), *emission.alternatives]
            rest = max(0.0, 1 - sum([probability for _, probability in options]))
            steps = [context.step(self._symbols[id]) for id, _ in options]
            weights = [p * factor for (_, p), (factor, _) in zip(options, steps, strict=True)]
            rescored.append(_rescore_emission(emission, weights, rest, self._scaling))
            context = steps[0][1]
        return rescored

    def _best_text(
        self, blank_T: list[float], classes_T: list[_Classes], start: _Context
    ) -> list[int]:
        """Return the classes of the best text."""
        beam = [_Prefix(None, BLANK, 1.0, start)]
        for step, (blank, classes) in enumerate(zip(blank_T, classes_T, strict=True)):
            if classes:
                beam = self._keep(self._extensions(beam, blank, classes, step), step)
            else:
                for prefix in beam:
                    prefix.after_blank, prefix.after_class = prefix.total, 0.0
                    prefix.step = step
        space = self._model.space  # the language model has to accept the end of the last word
        return max(beam, key=lambda prefix: prefix.total * prefix.context.step(space)[0]).ids()

    def _extensions(
        self, beam: list[_Prefix], blank: float, classes: _Classes, step: int
    ) -> list[_Extension]:
        """Take one time step: every prefix emits a blank, repeats its class or gets a new one."""
        before, symbols = step - 1, self._symbols
        probability_of = dict(classes)
        extensions: list[_Extension] = []
        for prefix in beam:
            id, parent, children = prefix.id, prefix.parent, prefix.children
            after_blank, after_class = prefix.after_blank, prefix.after_class
            total = after_blank + after_class
            repeated = 0.0
            if parent is not None and id in probability_of:
                probability = probability_of[id]
                repeated = after_class * probability
                if parent.step == before:
                    # A repeated class is a second character only after a blank.
                    score = parent.after_blank if parent.id == id else parent.total
                    score *= probability
                    if score >= PRUNING_RATIO:
                        repeated += score * prefix.factor
            stays = total * blank
            extensions.append((stays + repeated, stays, repeated, prefix, BLANK))
            for new, probability in classes:
                score = (after_blank if new == id else total) * probability
                if score >= PRUNING_RATIO:
                    child = children.get(new)
                    if child is None or child.step != before:  # else it is in the beam itself
                        score *= prefix.context.step(symbols[new])[0]
                        extensions.append((score, 0.0, score, prefix, new))
        return extensions

    def _keep(self, extensions: list[_Extension], step: int) -> list[_Prefix]:
        """Return the most probable prefixes, with the best one scaled to 1."""
        best = max(map(_total, extensions))
        threshold = best * PRUNING_RATIO
        kept = [extension for extension in extensions if extension[0] >= threshold]
        if len(kept) > BEAM_WIDTH:
            kept.sort(key=_total, reverse=True)
            del kept[BEAM_WIDTH:]
        beam = []
        for _, after_blank, after_class, prefix, new in kept:
            if new != BLANK:
                child = prefix.children.get(new)
                if child is None:
                    step_taken = prefix.context.step(self._symbols[new])
                    child = prefix.children[new] = _Prefix(prefix, new, *step_taken)
                prefix = child
            prefix.after_blank, prefix.after_class = after_blank / best, after_class / best
            beam.append(prefix)
        if self._recombines and len(beam) > 1:
            beam = _recombined(beam)
        for prefix in beam:
            prefix.step = step
        return beam


_total = itemgetter(0)


def _recombined(beam: list[_Prefix]) -> list[_Prefix]:
    """Return the most probable of the prefixes with the same last class and states of the model."""
    best: dict[tuple[int, tuple[int, int]], _Prefix] = {}
    for prefix in beam:
        key = prefix.id, prefix.context.states
        other = best.get(key)
        if other is None or prefix.total > other.total:
            best[key] = prefix
    return list(best.values())


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


def _probable_classes(probabilities_TV: NDArray[np.float32]) -> list[_Classes]:
    """Return the classes of each step that are not ignored."""
    probable_TV = probabilities_TV >= MIN_CLASS_PROBABILITY
    probable_TV[:, BLANK] = False
    steps, ids = np.divmod(np.flatnonzero(probable_TV), probabilities_TV.shape[1])
    classes_T: list[_Classes] = [[] for _ in range(len(probabilities_TV))]
    found = probabilities_TV[steps, ids]
    for step, id, probability in zip(steps.tolist(), ids.tolist(), found.tolist(), strict=True):
        classes_T[step].append((id, probability))
    return classes_T


def _limited(classes_T: list[_Classes]) -> list[_Classes]:
    """Return the classes to try: the most probable ones of the line, if there are too many."""
    limit = MAX_CLASSES_PER_STEP * len(classes_T)
    if sum(map(len, classes_T)) <= limit:
        return classes_T
    every = sorted((p for classes in classes_T for _, p in classes), reverse=True)
    return [[pair for pair in classes if pair[1] > every[limit]] for classes in classes_T]


def _collapse(path: list[int], chosen_T: list[float], classes_T: list[_Classes]) -> list[Emission]:
    """Return the emissions of a path as `greedy.collapse_path` does.

    Args:
        path: class at each time step.
        chosen_T: its probability.
        classes_T: the probable classes of each step.
    """
    emissions, begin = [], 0
    for id, run in groupby(path):
        end = begin + len(list(run))
        if id != BLANK:
            best = max(range(begin, end), key=chosen_T.__getitem__)
            others = [
                pair for pair in classes_T[best] if pair[0] != id and pair[1] >= _MIN_ALTERNATIVE
            ]
            others.sort(key=itemgetter(1), reverse=True)
            alternatives = tuple(others[:MAX_ALTERNATIVES])
            emissions.append(Emission(id, chosen_T[best], begin, end, alternatives))
        begin = end
    return emissions
