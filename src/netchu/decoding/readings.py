"""What a recogniser returns for one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

MAIN_VARIANT = "main"
"""Name of the way of reading of a system that has only one."""


@dataclass(frozen=True)
class Reading:
    """The reading of one line.

    Attributes:
        text: what was read.
        confidence: probability in [0, 1] that all of it is right.
        character_confidences: the same of each character of `text`.
    """

    text: str
    confidence: float
    character_confidences: tuple[float, ...]


def joint_probability(probabilities: Sequence[float]) -> float:
    """Return the product of the characters' probabilities, 0 for no characters."""
    return prod(probabilities) if probabilities else 0.0
