"""How likely a Vietnamese text is, letter by letter, whatever its case and its digits.

Two experts of letter n-grams judge it: one has read addresses, the other prose. Each expert's say
follows from how well it foresaw the text so far (Bayes' rule), so that either kind of text is
judged by the one that knows it, and a name in prose by the other. Both hold every syllable of the
language, so there is no lexicon beside them; nothing is impossible: a word that no expert knows
costs a bounded price per letter. The ten digits are one symbol, and each has a tenth of its
probability: no digit is ever preferred to another.
"""

from __future__ import annotations

import zipfile
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netchu.core.errors import NetchuError

LANGUAGE_MODEL = "language_model.npz"
"""Its name in a folder, be it of a model or of its own."""

STEPS_PER_NAT = 20
"""Costs (negative logarithms of probabilities) are stored in steps of 1/20 nat, at most 255."""

START = 0.5
"""The address expert's share before the first letter."""

LEAST_SHARE = 0.05
"""No expert's share falls lower, so that each can come back."""

RAREST = 1e-5
"""No letter counts as less likely."""

DIGITS = 10

WEIGHT, REWARD = 0.5, 3.3
"""A letter's probability p counts as p ** WEIGHT * REWARD, chosen on validation lines. The reward
makes up for what any letter costs; without it the shortest text would win."""


Context = tuple[int, int, float]
"""Where a text has led: the states of both experts, and the address expert's share."""


class LanguageModel:
    """The experts of a file that `estimation.write` wrote. Threads may share it."""

    def __init__(self, file: Path) -> None:
        """Load `file`.

        Raises:
            NetchuError: it is not there, or is no language model.
        """
        try:
            with np.load(file, allow_pickle=False) as found:
                self._symbols = {letter: i for i, letter in enumerate(str(found["symbols"]), 1)}
                size = len(self._symbols)
                self._addresses = Ngrams(found["addresses"], size)
                self._prose = Ngrams(found["prose"], size)
        except FileNotFoundError:
            raise NetchuError(
                f"no language model at {file}; name the file, or read without"
            ) from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise NetchuError(f"{file} is no language model ({error}); make it again") from None
        self.space, self._digit = self.symbol(" "), self.symbol("0")
        self.start: Context = (
            self._addresses.step(0, self.space)[1], self._prose.step(0, self.space)[1], START
        )  # fmt: skip

    def symbol(self, character: str) -> int:
        """What stands for a character: its small letter, one symbol for all digits, 0 for none."""
        return self._symbols.get(fold(character), 0)

    def step(self, context: Context, symbol: int) -> tuple[float, Context]:
        """The factor by which a text gains or loses likelihood with one more symbol, and where it
        leads."""
        state_a, state_b, share = context
        p_a, state_a = self._addresses.step(state_a, symbol)
        p_b, state_b = self._prose.step(state_b, symbol)
        p = share * p_a + (1 - share) * p_b
        share = min(max(share * p_a / p, LEAST_SHARE), 1 - LEAST_SHARE)
        if symbol == self._digit:
            p /= DIGITS
        return REWARD * max(p, RAREST) ** WEIGHT, (state_a, state_b, share)


def fold(text: str) -> str:
    """Small letters, every digit a 0: what the experts see."""
    return "".join("0" if letter.isdigit() else letter for letter in text.lower())


class Ngrams:
    """Backoff n-grams of symbols 1 to `size` as a trie of bytes.

    Node 0 is the root; a node is the symbols on the way to it, and its number is the state after
    them. Nodes are numbered level by level, a node's children side by side and sorted. Every tail
    of a node's symbols is a node too: its suffix, to which an unknown continuation falls back.
    """

    def __init__(self, nodes_4N: NDArray[np.uint8], size: int) -> None:
        """nodes_4N: of each node the symbol, the number of children, the costs of the symbol and
        of falling back.

        Raises:
            ValueError: the nodes make no such trie.
        """
        if nodes_4N.ndim != 2 or nodes_4N.shape[0] != 4 or nodes_4N.dtype != np.uint8:
            raise ValueError(f"nodes of shape {nodes_4N.shape} and type {nodes_4N.dtype}")
        symbols, children, costs, fallbacks = nodes_4N
        first = np.concatenate([[1], 1 + np.cumsum(children, dtype=np.int64)])
        if first[-1] != len(symbols):
            raise ValueError(f"{len(symbols)} nodes, but {first[-1]} by their children")
        self._symbols, self._costs = symbols.tobytes(), costs.tobytes()
        self._fallbacks = fallbacks.tobytes()
        self._first = array("q", first.tobytes())
        self._suffix = array("q", _suffixes(symbols, first).tobytes())
        self._probability = np.exp(-np.arange(256) / STEPS_PER_NAT).tolist()
        self._unseen = self._probability[fallbacks[0]] / size

    def step(self, state: int, symbol: int) -> tuple[float, int]:
        """The probability of a symbol after the symbols of `state`, and the state after it."""
        factor = 1.0
        while True:
            child = self._symbols.find(symbol, self._first[state], self._first[state + 1])
            if child > 0:
                return factor * self._probability[self._costs[child]], child
            if state == 0:
                return factor * self._unseen, 0
            factor *= self._probability[self._fallbacks[state]]
            state = self._suffix[state]


def _suffixes(symbols: NDArray[np.uint8], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each node the node of its symbols but the first: its parent's suffix's child."""
    parents = np.repeat(np.arange(len(symbols)), np.diff(first))
    keys = np.concatenate([[-1], parents * 256 + symbols[1:]])
    suffix = np.zeros(len(symbols), np.int64)
    begin, end = int(first[1]), int(first[first[1]])
    while begin < end:
        wanted = suffix[parents[begin - 1 : end - 1]] * 256 + symbols[begin:end]
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        if (keys[places] != wanted).any():
            raise ValueError("a node without its suffix")
        suffix[begin:end] = places
        begin, end = end, int(first[end])
    return suffix
