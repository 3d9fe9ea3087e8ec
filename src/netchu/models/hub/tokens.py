"""From the tokens of a language model to characters with confidences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netchu.core.text import normalise

BROKEN = "\ufffd"
"""What a tokeniser decodes an incomplete or invalid character to."""


def read_tokens(
    tokenizer: Any, ids: Sequence[int], probabilities: Sequence[float]
) -> tuple[str, tuple[float, ...]]:
    """Return the normalised text of `ids`, and a confidence for each of its characters.

    The confidence is the product of the probabilities of the tokens that the character needs;
    characters of one token share its probability. Bytes that form no character are dropped.
    """
    characters: list[float] = []
    text, pending = "", 1.0
    for count, probability in enumerate(probabilities, start=1):
        text = normalise(
            tokenizer.decode(ids[:count], skip_special_tokens=True).replace(BROKEN, "")
        )
        pending *= probability
        del characters[len(text) :]
        if new := len(text) - len(characters):
            characters += [pending] * new
            pending = 1.0
    return text, tuple(characters)
