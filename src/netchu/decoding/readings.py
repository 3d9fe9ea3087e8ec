"""What a recogniser read: of one line in training and evaluation, of a whole photo for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Reading:
    """What a recogniser read: the text, its probability in [0, 1], and each character's."""

    text: str
    confidence: float
    characters: tuple[float, ...]


@dataclass(frozen=True)
class Character:
    """One character of a line.

    confidence: its probability. left, right: where it stands along the line, px of the photo as
    shown. alternatives: other characters that might stand there and their probabilities, best
    first.
    """

    text: str
    confidence: float
    left: float
    right: float
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class LineReading:
    """One line of a photo.

    confidence: the probability that all of it is right. box: left, top, right, bottom in px of the
    photo as shown, right and bottom excluded. characters: joined they are the text.
    """

    text: str
    confidence: float
    box: tuple[int, int, int, int]
    characters: tuple[Character, ...]


@dataclass(frozen=True)
class PhotoReading:
    """What stands on a photo.

    text: its lines joined by line breaks, "" on empty paper. confidence: that of the least sure
    line, 0 where there is none. size: width and height in px of the photo as shown, that is after
    the rotation its EXIF data ask for.
    """

    text: str
    confidence: float
    lines: tuple[LineReading, ...]
    size: tuple[int, int]


def joint(probabilities: Sequence[float]) -> float:
    """Probability that all characters are right: their product, 0 where nothing was read."""
    return prod(probabilities) if probabilities else 0.0
