"""Letter language model of Vietnamese: a mixture of two n-gram models, of addresses and of prose.

The weight of each mixture component follows from how well it predicted the text so far (Bayes'
rule), so an address is scored by the component of addresses and a sentence by that of prose. Both
contain every syllable of the language, so no lexicon is needed, and an unknown word costs a bounded
amount per letter. Case is ignored. The ten digits are one symbol of whose probability each digit
gets a tenth, so the model never prefers one digit to another.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from array import array
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netchu.core.errors import NetchuError

LANGUAGE_MODEL = "language_model.npz"
"""Name of the file in a model's folder or in a folder of its own."""

TEXTS = "texts.json"
"""Name of the file beside an estimated model that counts the sentences used and left out."""

STEPS_PER_NAT = 20
"""Costs (negative log-probabilities) are stored in steps of 1/20 nat, at most 255."""

INITIAL_WEIGHT = 0.5
"""Weight of the component of addresses before the first letter."""

MIN_WEIGHT = 0.01
"""Lowest weight of a component, so that it can recover later in the text."""

MIN_PROBABILITY = 1e-5
"""Lowest probability of a symbol."""

MAX_NODES = 2**26
"""Most n-grams of a component; that of the package has about half a million."""

MAX_SYMBOLS = 255
MAX_ORDER = 16
"""Longest n-gram, far above the eight letters of those that netchu estimates."""

DIGITS = 10

LM_WEIGHT, INSERTION_BONUS = 0.5, 3.3
"""A symbol of probability p is scored `p ** LM_WEIGHT * INSERTION_BONUS`; both were chosen on
validation lines. The bonus makes up for the cost that every symbol adds, which would favour short
texts."""


Context = tuple[int, int, float]
"""State of a text: the states of both components, and the weight of the component of addresses."""


class LanguageModel:
    """A language model written by `netchu.release.ngrams`. Safe to share between threads."""

    def __init__(self, file: Path) -> None:
        """Load `file`.

        Raises:
            NetchuError: the file is missing or not a language model.
        """
        if not file.exists():
            raise NetchuError(
                f"there is no language model at {file}; name another file, or decode greedily"
            )
        if not file.is_file():
            raise NetchuError(f"{file} is not a regular file; build the language model again")
        try:
            with zipfile.ZipFile(file) as archive:
                symbols = str(_read_array(archive, "symbols", 4 * MAX_SYMBOLS))
                if not 0 < len(set(symbols)) == len(symbols) <= MAX_SYMBOLS:
                    raise ValueError(f"no list of 1 to {MAX_SYMBOLS} symbols")
                self._symbols = {letter: i for i, letter in enumerate(symbols, 1)}
                size = len(self._symbols)
                self._addresses, self._prose = (
                    NgramModel(_read_array(archive, name, 4 * MAX_NODES), size)
                    for name in ("addresses", "prose")
                )
        except _DAMAGED as error:
            raise NetchuError(f"{file} is not a language model ({error}); build it again") from None
        self.space, self._digit = self.symbol(" "), self.symbol("0")
        self.start: Context = (
            self._addresses.step(0, self.space)[1], self._prose.step(0, self.space)[1],
            INITIAL_WEIGHT,
        )  # fmt: skip

    def symbol(self, character: str) -> int:
        """Return the symbol of a character, 0 for an unknown one; see `normalise_symbols`."""
        return self._symbols.get(normalise_symbols(character), 0)

    def step(self, context: Context, symbol: int) -> tuple[float, Context]:
        """Return the score factor of one more symbol, and the context after it."""
        address_state, prose_state, weight = context
        address_p, address_state = self._addresses.step(address_state, symbol)
        prose_p, prose_state = self._prose.step(prose_state, symbol)
        p = weight * address_p + (1 - weight) * prose_p
        weight = min(max(weight * address_p / p, MIN_WEIGHT), 1 - MIN_WEIGHT)
        if symbol == self._digit:
            p /= DIGITS
        factor = INSERTION_BONUS * max(p, MIN_PROBABILITY) ** LM_WEIGHT
        return factor, (address_state, prose_state, weight)


_DAMAGED = (
    OSError, ValueError, KeyError, IndexError, EOFError, RuntimeError, NotImplementedError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What reading a file that is damaged, encrypted or none of ours raises."""


def _read_array(archive: zipfile.ZipFile, name: str, limit: int) -> NDArray[np.generic]:
    """Return an array of an `.npz` archive, whose size is checked before memory is taken for it.

    Raises:
        ValueError: it has more than `limit` bytes, or another number than its shape says.
    """
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ValueError(f"{name} has version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        size = prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size > limit or size > entry.file_size:
            raise ValueError(f"{name} of shape {shape} and type {dtype}")
    with archive.open(entry) as member:
        array: NDArray[np.generic] = np.lib.format.read_array(member, allow_pickle=False)
    return array


class NoLanguageModel:
    """Finds every text equally probable: a search with it maximises the network's probability."""

    start: Context = (0, 0, INITIAL_WEIGHT)
    space = 0

    def symbol(self, character: str) -> int:
        """Return 0."""
        return 0

    def step(self, context: Context, symbol: int) -> tuple[float, Context]:
        """Return the factor 1, and the same context."""
        return 1.0, context


def normalise_symbols(text: str) -> str:
    """Lower the case and replace every digit by 0, as the language model sees text."""
    return "".join("0" if letter.isdigit() else letter for letter in text.lower())


class NgramModel:
    """Backoff n-grams of the symbols 1 to `size`, as a trie in byte arrays.

    Node 0 is the root. A node stands for the symbols on the path to it, and its number is the state
    after them. Nodes are numbered level by level; the children of a node are consecutive and sorted
    by symbol. Every suffix of an n-gram is a node too, and is where the lookup backs off to.
    """

    def __init__(self, nodes_4N: NDArray[Any], size: int) -> None:
        """Build the lookup tables.

        Args:
            nodes_4N: of each node its symbol, its number of children, the cost of the symbol and
                the cost of backing off.
            size: number of symbols.

        Raises:
            ValueError: the nodes are not such a trie.
        """
        if nodes_4N.ndim != 2 or nodes_4N.shape[0] != 4 or nodes_4N.dtype != np.uint8:
            raise ValueError(f"nodes of shape {nodes_4N.shape} and type {nodes_4N.dtype}")
        symbols, children, costs, backoffs = nodes_4N
        first = np.concatenate([[1], 1 + np.cumsum(children, dtype=np.int64)])
        if first[-1] != len(symbols):
            raise ValueError(f"{len(symbols)} nodes, but {first[-1]} by the numbers of children")
        self._symbols, self._costs = symbols.tobytes(), costs.tobytes()
        self._backoffs = backoffs.tobytes()
        self._first = array("q", first.tobytes())
        self._suffix = array("q", _suffixes(symbols, first).tobytes())
        self._probability = np.exp(-np.arange(256) / STEPS_PER_NAT).tolist()
        self._unseen = self._probability[backoffs[0]] / size

    def step(self, state: int, symbol: int) -> tuple[float, int]:
        """Return the probability of a symbol in `state`, and the state after it."""
        factor = 1.0
        while True:
            child = self._symbols.find(symbol, self._first[state], self._first[state + 1])
            if child > 0:
                return factor * self._probability[self._costs[child]], child
            if state == 0:
                return factor * self._unseen, 0
            factor *= self._probability[self._backoffs[state]]
            state = self._suffix[state]


def _suffixes(symbols: NDArray[np.uint8], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each node, the node of its n-gram without the first symbol.

    Raises:
        ValueError: there is none, or an n-gram has more than `MAX_ORDER` symbols.
    """
    parents = np.repeat(np.arange(len(symbols)), np.diff(first))
    keys = np.concatenate([[-1], parents * 256 + symbols[1:]])
    suffix = np.zeros(len(symbols), np.int64)
    begin, end = int(first[1]), int(first[first[1]])
    order = 1
    while begin < end:
        order += 1
        if order > MAX_ORDER:
            raise ValueError(f"n-grams of more than {MAX_ORDER} symbols")
        # The suffix of a node is the child, by the same symbol, of its parent's suffix.
        wanted = suffix[parents[begin - 1 : end - 1]] * 256 + symbols[begin:end]
        # No key that is wanted is greater than the last one: a suffix comes before its n-gram.
        nodes = np.searchsorted(keys, wanted)
        if (keys[nodes] != wanted).any():
            raise ValueError("an n-gram without its suffix")
        suffix[begin:end] = nodes
        begin, end = end, int(first[end])
    return suffix
