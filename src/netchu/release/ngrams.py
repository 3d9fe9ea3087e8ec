"""Making the language model's file: n-grams counted in texts, smoothed, pruned, packed.

Smoothing is Witten and Bell's (1991): a context that was followed by many different letters trusts
itself less. Pruning drops an n-gram whose loss costs the texts less than `least_gain` nats in all,
and one seen fewer than `least_count` times, unless a longer one needs it. Shorter models foresee
texts that they have not read better, too.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netchu.core.text import ALPHABET
from netchu.decoding.language_model import STEPS_PER_NAT, normalise_symbols

Texts = Sequence[str]
Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

SYMBOLS = "".join(sorted(set(normalise_symbols(ALPHABET))))
BITS = np.uint64(8)
"""Of a symbol in an n-gram's key; so an n-gram has at most eight symbols."""


@dataclass(frozen=True)
class MixtureComponent:
    """What a component reads, each with the weight of its counts, and how much of it is kept."""

    reads: tuple[tuple[Texts, float], ...]
    order: int
    least_gain: float
    least_count: float


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length, sorted by key; kept says which survive pruning."""

    keys_N: Keys
    probabilities_N: Floats
    kept_N: NDArray[np.bool_]


def mixture_components(
    addresses: Texts, verses: Texts, syllables: Texts, prose: Texts
) -> tuple[MixtureComponent, MixtureComponent]:
    """Return the components of addresses and of prose.

    Their orders and the weights of their texts were chosen on validation lines.
    """
    return (
        MixtureComponent(((addresses, 1), (verses, 5), (syllables, 5)), 8, 50, 1),
        MixtureComponent(((prose, 1), (verses, 1), (syllables, 0.3), (addresses, 0.01)), 5, 3, 3),
    )


def write_language_model(components: tuple[MixtureComponent, MixtureComponent], file: Path) -> None:
    """Write the file that `LanguageModel` reads; the same texts give the same bytes."""
    arrays = {
        "symbols": np.array(SYMBOLS),
        "addresses": estimate(components[0]),
        "prose": estimate(components[1]),
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, whenever it is written
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED)


def estimate(component: MixtureComponent) -> NDArray[np.uint8]:
    """The component's trie (4, N), as `NgramModel` takes it."""
    streams = [(_stream(texts), weight) for texts, weight in component.reads if texts]
    levels: list[_Level] = []
    for order in range(1, component.order + 1):
        keys, counts = _count(streams, order)
        lower = _lower(levels, keys)
        _, heads = np.unique(keys >> BITS, return_inverse=True)
        totals, kinds = np.bincount(heads, counts)[heads], np.bincount(heads)[heads]
        probabilities = (counts + kinds * lower) / (totals + kinds)
        fallbacks = kinds / (totals + kinds)
        gains = counts * np.log(probabilities / (fallbacks * lower))
        kept = (gains >= component.least_gain) & (counts >= component.least_count)
        levels.append(_Level(keys, probabilities, kept if order > 1 else np.ones_like(kept)))
    _keep_needed(levels)
    return _pack(levels)


def _stream(texts: Texts) -> Keys:
    """All texts as one running line of symbols, which begins and ends with a space."""
    numbers = {symbol: number for number, symbol in enumerate(SYMBOLS, 1)}
    return np.array(
        [numbers[letter] for letter in normalise_symbols(f" {' '.join(texts)} ")], np.uint64
    )


def _count(streams: Sequence[tuple[Keys, float]], order: int) -> tuple[Keys, Floats]:
    """The n-grams of a length, sorted, and their weighted counts."""
    counted = []
    for stream, weight in streams:
        keys = np.zeros(len(stream) - order + 1, np.uint64)
        for place in range(order):
            keys = (keys << BITS) | stream[place : place + len(keys)]
        found, counts = np.unique(keys, return_counts=True)
        counted.append((found, counts * weight))
    keys, places = np.unique(np.concatenate([k for k, _ in counted]), return_inverse=True)
    counts = np.bincount(places, np.concatenate([c for _, c in counted]))
    return keys, counts.astype(np.float64)


def _tail(keys: Keys, order: int) -> Keys:
    """N-grams of `order` symbols without their first."""
    return keys & np.uint64((1 << 8 * (order - 1)) - 1)


def _lower(levels: Sequence[_Level], keys: Keys) -> Floats:
    """What the next shorter context says of these n-grams' last symbols."""
    if not levels:
        return np.full(len(keys), 1 / len(SYMBOLS))
    shorter = levels[-1]
    places = np.searchsorted(shorter.keys_N, _tail(keys, len(levels) + 1))
    return shorter.probabilities_N[places]


def _keep_needed(levels: Sequence[_Level]) -> None:
    """Keep, from the longest down, every n-gram that is the head or the tail of a kept one."""
    for order in range(len(levels), 1, -1):
        longer, shorter = levels[order - 1], levels[order - 2]
        kept = longer.keys_N[longer.kept_N]
        for needed in (kept >> BITS, _tail(kept, order)):
            shorter.kept_N[np.searchsorted(shorter.keys_N, needed)] = True


def _pack(levels: Sequence[_Level]) -> NDArray[np.uint8]:
    """Bytes of the kept n-grams; fallbacks such that a context's probabilities sum to 1."""
    packed = [np.zeros((4, 1), np.uint8)]
    keys, probabilities = np.zeros(1, np.uint64), np.ones(1)
    for order, level in enumerate(levels, 1):
        longer = level.keys_N[level.kept_N]
        chances = level.probabilities_N[level.kept_N]
        parents = np.searchsorted(keys, longer >> BITS)
        lower = (
            probabilities[np.searchsorted(keys, _tail(longer, order))]
            if order > 1
            else np.full(len(longer), 1 / len(SYMBOLS))
        )
        left = 1 - np.bincount(parents, chances, len(keys))
        left_lower = 1 - np.bincount(parents, lower, len(keys))
        children = np.bincount(parents, minlength=len(keys))
        fallbacks = np.where(children, np.maximum(left, 1e-5) / np.maximum(left_lower, 1e-5), 1)
        packed[-1][1], packed[-1][3] = children, _costs(fallbacks)
        nodes = np.zeros((4, len(longer)), np.uint8)
        nodes[0], nodes[2] = longer & np.uint64(255), _costs(chances)
        packed.append(nodes)
        keys, probabilities = longer, chances
    return np.concatenate(packed, 1)


def _costs(probabilities: Floats) -> NDArray[np.uint8]:
    costs = np.rint(-STEPS_PER_NAT * np.log(probabilities))
    return np.asarray(np.clip(costs, 0, 255), np.uint8)
