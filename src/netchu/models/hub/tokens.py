"""From a language model's tokens to a reading's letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netchu.core.text import normalise

BROKEN = "\ufffd"
"""What a decoder writes for bytes that are no character (yet)."""


def read_tokens(
    tokenizer: Any, ids: Sequence[int], sure: Sequence[float]
) -> tuple[str, tuple[float, ...]]:
    """The normalised text of `ids`, and for each of its letters the probability of its tokens.

    A letter that takes several tokens has their product; letters that share a token share its
    probability. Bytes that make no character are left out.
    """
    letters: list[float] = []
    text, pending = "", 1.0
    for count, probability in enumerate(sure, start=1):
        text = normalise(
            tokenizer.decode(ids[:count], skip_special_tokens=True).replace(BROKEN, "")
        )
        pending *= probability
        del letters[len(text) :]
        if new := len(text) - len(letters):
            letters += [pending] * new
            pending = 1.0
    return text, tuple(letters)
