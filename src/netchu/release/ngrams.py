"""Estimation of the letter language model: n-grams are counted, smoothed, pruned and packed.

Smoothing is that of Witten and Bell (1991): the more different letters follow a context, the more
weight gets the next shorter one. Pruning removes n-grams that gain fewer than `min_gain` nats on
the texts in all, and those seen fewer than `min_count` times, unless a longer n-gram needs them.
Pruned models also predict other texts better.
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
COST_STEP = 4
"""Costs are rounded to so many steps of `STEPS_PER_NAT`: as good on validation lines as single
steps, and a fifth smaller when it is compressed."""

BITS = np.uint64(8)
"""Bits per symbol in the key of an n-gram, which so has at most eight symbols."""


@dataclass(frozen=True)
class MixtureComponent:
    """How an n-gram model is estimated.

    Attributes:
        texts: texts, each with the weight of its counts.
        order: length of the longest n-grams, at most 8.
        min_gain: nats that an n-gram must gain to be kept.
        min_count: weighted count that an n-gram must have to be kept.
    """

    texts: tuple[tuple[Texts, float], ...]
    order: int
    min_gain: float
    min_count: float


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length, sorted by key; `kept_N` are those that are not pruned."""

    keys_N: Keys
    probabilities_N: Floats
    kept_N: NDArray[np.bool_]


@dataclass(frozen=True)
class Corpora:
    """Texts of a language model.

    Attributes:
        addresses: addresses.
        verses: lines of verse.
        syllables: every syllable of the language.
        labels: training labels of prose.
        sentences: sentences of newspapers and encyclopedias.
        fields: fields of forms, such as names and dates.
        foreign: words that are no Vietnamese.
    """

    addresses: Texts
    verses: Texts
    syllables: Texts
    labels: Texts = ()
    sentences: Texts = ()
    fields: Texts = ()
    foreign: Texts = ()


def mixture_components(corpora: Corpora) -> tuple[MixtureComponent, MixtureComponent]:
    """Return the components of addresses and of prose.

    Their orders, least gains and the weights of their texts were chosen on validation lines. With
    sentences the model of prose has so much to count that it takes longer n-grams and drops more
    of them.
    """
    c = corpora
    addresses = ((c.addresses, 1), (c.verses, 5), (c.syllables, 5), (c.fields, 0.5))
    prose = ((c.labels, 1), (c.verses, 1), (c.syllables, 0.3), (c.addresses, 0.01))
    if not c.sentences:
        return MixtureComponent(addresses, 8, 50, 1), MixtureComponent(prose, 5, 3, 3)
    more = ((c.sentences, 1), (c.labels, 10), *prose[1:], (c.fields, 0.2), (c.foreign, 1))
    return MixtureComponent(addresses, 8, 50, 1), MixtureComponent(more, 7, 150, 3)


def write_language_model(components: tuple[MixtureComponent, MixtureComponent], file: Path) -> None:
    """Write the file that `LanguageModel` reads; the same texts give the same bytes."""
    arrays = {
        "symbols": np.array(SYMBOLS),
        "addresses": estimate(components[0]),
        "prose": estimate(components[1]),
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, whenever it is written
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_LZMA)


def estimate(component: MixtureComponent) -> NDArray[np.uint8]:
    """Return the trie (4, N) of a component, as `NgramModel` takes it."""
    streams = [(_stream(texts), weight) for texts, weight in component.texts if texts]
    levels: list[_Level] = []
    for order in range(1, component.order + 1):
        keys, counts = _count(streams, order)
        lower = _lower(levels, keys)
        _, heads = np.unique(keys >> BITS, return_inverse=True)
        totals, kinds = np.bincount(heads, counts)[heads], np.bincount(heads)[heads]
        probabilities = (counts + kinds * lower) / (totals + kinds)
        fallbacks = kinds / (totals + kinds)
        gains = counts * np.log(probabilities / (fallbacks * lower))
        kept = (gains >= component.min_gain) & (counts >= component.min_count)
        levels.append(_Level(keys, probabilities, kept if order > 1 else np.ones_like(kept)))
    _keep_needed(levels)
    return _pack(levels)


def _stream(texts: Texts) -> NDArray[np.uint8]:
    """Return all texts as one sequence of symbols that begins and ends with a space."""
    table = np.zeros(max(map(ord, ALPHABET)) + 1, np.uint8)
    for letter in ALPHABET:
        table[ord(letter)] = SYMBOLS.index(normalise_symbols(letter)) + 1
    text = f" {' '.join(texts)} ".encode("utf-32-le")
    return table[np.frombuffer(text, np.uint32)]


def _count(streams: Sequence[tuple[NDArray[np.uint8], float]], order: int) -> tuple[Keys, Floats]:
    """Return the n-grams of length `order`, sorted, and their weighted counts."""
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
    """Return n-grams of `order` symbols without their first symbol."""
    return keys & np.uint64((1 << 8 * (order - 1)) - 1)


def _lower(levels: Sequence[_Level], keys: Keys) -> Floats:
    """Return the probabilities of the last symbols after the next shorter context."""
    if not levels:
        return np.full(len(keys), 1 / len(SYMBOLS))
    shorter = levels[-1]
    places = np.searchsorted(shorter.keys_N, _tail(keys, len(levels) + 1))
    return shorter.probabilities_N[places]


def _keep_needed(levels: Sequence[_Level]) -> None:
    """Keep every n-gram that a longer kept one has as its head or tail, longest first."""
    for order in range(len(levels), 1, -1):
        longer, shorter = levels[order - 1], levels[order - 2]
        kept = longer.keys_N[longer.kept_N]
        for needed in (kept >> BITS, _tail(kept, order)):
            shorter.kept_N[np.searchsorted(shorter.keys_N, needed)] = True


def _pack(levels: Sequence[_Level]) -> NDArray[np.uint8]:
    """Pack the kept n-grams; fallbacks make the probabilities after a context sum to 1."""
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
    costs = COST_STEP * np.rint(-STEPS_PER_NAT / COST_STEP * np.log(probabilities))
    return np.asarray(np.clip(costs, 0, 255 // COST_STEP * COST_STEP), np.uint8)
