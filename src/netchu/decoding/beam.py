"""CTC prefix beam search with a language model (Hannun et al. 2014, "First-pass large vocabulary
continuous speech recognition using bi-directional recurrent DNNs").

Plain Python over few candidates: where the network is sure, which is nearly everywhere, a step has
one class and a handful of texts.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import nlargest
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netchu.decoding.alignment import align
from netchu.decoding.greedy import LEAST_PROBABILITY as LEAST_NAMED
from netchu.decoding.greedy import Emission, emissions, greedy
from netchu.decoding.language_model import Context, LanguageModel
from netchu.decoding.scaling import AS_IS, Scale

WIDTH = 8
"""Texts that are kept from step to step."""

LEAST_PROBABILITY = 0.005
"""Less likely classes of a step are left out."""

MOST_CLASSES = 3
"""So many classes are tried at most, in the mean over the steps of a line: it bounds the time that
an unreadable one takes."""

LEAST_SHARE = 1e-3
"""Texts less likely than this share of the likeliest are dropped, or not even tried."""

BLANK = 0


class _Prefix:
    """A text so far, as its last class and the text before."""

    __slots__ = ("before", "context", "factor", "id", "longer")

    def __init__(self, before: _Prefix | None, id: int, factor: float, context: Context) -> None:
        self.before = before
        self.id = id
        self.factor = factor
        self.context = context
        self.longer: dict[int, _Prefix] = {}


_Beam = list[tuple[_Prefix, float, float]]
"""Texts with the likelihood of the paths that end in a blank, and of those that end in the text's
last class; relative to the likeliest text, so that nothing underflows."""


class BeamDecoder:
    """Finds the text that the network and the language model together hold likeliest."""

    def __init__(self, alphabet: str, model_file: Path, scale: Scale = AS_IS) -> None:
        """alphabet: of the network, whose class i + 1 is alphabet[i]; class 0 is the blank.
        scale: of the characters' confidences.

        Raises:
            NetchuError: `model_file` holds no language model.
        """
        self._model = LanguageModel(model_file)
        self._symbols = [0, *map(self._model.symbol, alphabet)]
        self._scale = scale

    def decode(self, probabilities_TV: NDArray[np.float32]) -> list[Emission]:
        """The characters of the best text, where they stand and how sure it is of them."""
        if not len(probabilities_TV):
            return []
        ids = self._search(probabilities_TV)
        found = greedy(probabilities_TV, BLANK)
        if ids != [emission.id for emission in found]:
            found = emissions(probabilities_TV, align(probabilities_TV, ids, BLANK), BLANK)
        return self._judged(found)

    def _judged(self, found: list[Emission]) -> list[Emission]:
        """The same characters, as sure as the text before them makes them and what stands beside
        them; what the network holds no character counts as it is."""
        context = self._model.start
        judged = []
        for emission in found:
            chances = [(emission.id, emission.probability), *emission.alternatives]
            rest = max(0.0, 1 - sum(chance for _, chance in chances))
            steps = [self._model.step(context, self._symbols[id]) for id, _ in chances]
            masses = [p * factor for (_, p), (factor, _) in zip(chances, steps, strict=True)]
            judged.append(_scaled(emission, masses, rest, self._scale))
            context = steps[0][1]
        return judged

    def _search(self, probabilities_TV: NDArray[np.float32]) -> list[int]:
        beam: _Beam = [(_Prefix(None, BLANK, 1.0, self._model.start), 1.0, 0.0)]
        blanks = probabilities_TV[:, BLANK].tolist()
        for blank, candidates in zip(blanks, _candidates(probabilities_TV), strict=True):
            if candidates:
                beam = _prune(self._extend(beam, blank, candidates))
            else:
                beam = [(prefix, a + b, 0.0) for prefix, a, b in beam]
        best, _, _ = max(beam, key=self._ended)
        return _ids(best)

    def _extend(
        self, beam: _Beam, blank: float, candidates: list[tuple[int, float]]
    ) -> dict[_Prefix, list[float]]:
        """One step on: every text ends in a blank, stays, or grows by a candidate."""
        longer: dict[_Prefix, list[float]] = {}
        for prefix, after_blank, after_class in beam:
            either = after_blank + after_class
            same = longer.get(prefix) or longer.setdefault(prefix, [0.0, 0.0])
            same[0] += either * blank
            for id, probability in candidates:
                mass = either * probability
                if id == prefix.id:  # twice the same class is two characters only after a blank
                    same[1] += after_class * probability
                    mass = after_blank * probability
                if mass >= LEAST_SHARE:
                    grown = prefix.longer.get(id) or self._grow(prefix, id)
                    found = longer.get(grown) or longer.setdefault(grown, [0.0, 0.0])
                    found[1] += mass * grown.factor
        return longer

    def _grow(self, prefix: _Prefix, id: int) -> _Prefix:
        factor, context = self._model.step(prefix.context, self._symbols[id])
        grown = prefix.longer[id] = _Prefix(prefix, id, factor, context)
        return grown

    def _ended(self, found: tuple[_Prefix, float, float]) -> float:
        """Likelihood of a text that ends here: the language model must see its last word end."""
        prefix, after_blank, after_class = found
        factor, _ = self._model.step(prefix.context, self._model.space)
        return (after_blank + after_class) * factor


def _scaled(emission: Emission, masses: list[float], rest: float, scale: Scale) -> Emission:
    """An emission by the masses of its class and the alternatives; they share what it leaves."""
    others = rest + sum(masses[1:])
    sure = scale.of(masses[0] / (masses[0] + others))
    shares = ((1 - sure) * mass / others for mass in masses[1:])
    names = (id for id, _ in emission.alternatives)
    likely = sorted(zip(names, shares, strict=True), key=lambda found: -found[1])
    kept = tuple(found for found in likely if found[1] >= LEAST_NAMED)
    return replace(emission, probability=sure, alternatives=kept)


def _candidates(probabilities_TV: NDArray[np.float32]) -> list[list[tuple[int, float]]]:
    """Of each step the classes worth a try, with their probabilities."""
    likely_TV = probabilities_TV >= LEAST_PROBABILITY
    likely_TV[:, BLANK] = False
    most = MOST_CLASSES * len(probabilities_TV)
    found = probabilities_TV[likely_TV]
    if len(found) > most:
        likely_TV &= probabilities_TV > np.partition(found, -most - 1)[-most - 1]
    steps, ids = np.nonzero(likely_TV)
    pairs = list(zip(ids.tolist(), probabilities_TV[steps, ids].tolist(), strict=True))
    begins = np.searchsorted(steps, np.arange(len(probabilities_TV) + 1)).tolist()
    return [pairs[begin:end] for begin, end in pairwise(begins)]


def _prune(longer: dict[_Prefix, list[float]]) -> _Beam:
    """The likeliest texts, the likeliest at 1."""
    most = max(a + b for a, b in longer.values())
    least = most * LEAST_SHARE
    kept = [(prefix, a / most, b / most) for prefix, (a, b) in longer.items() if a + b >= least]
    return kept if len(kept) <= WIDTH else nlargest(WIDTH, kept, key=_mass)


def _mass(found: tuple[_Prefix, float, float]) -> float:
    return found[1] + found[2]


def _ids(prefix: _Prefix) -> list[int]:
    ids: list[int] = []
    while prefix.before is not None:
        ids.append(prefix.id)
        prefix = prefix.before
    return ids[::-1]
