"""From what a decoder wrote to characters with places, and to the reading of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp, log

from netchu.core.codec import Codec
from netchu.decoding.greedy import Emission
from netchu.decoding.readings import Character, LineReading, PhotoReading, joint_probability
from netchu.decoding.scaling import NO_SCALING, PlattScaling

Box = tuple[int, int, int, int]


def line_reading(
    emissions: Sequence[Emission], codec: Codec, box: Box, step: float, scale: PlattScaling = NO_SCALING
) -> LineReading:
    """The line that `emissions` write in `box`, a time step being `step` pixels of the photo.

    `scale` is that of the product of the characters' confidences.
    """
    left, _, right, _ = box
    places = [min(right, left + step * time) for time in boundaries(emissions)]
    characters = tuple(
        Character(
            codec.decode([emission.id]),
            emission.probability,
            begin,
            end,
            tuple((codec.decode([i]), probability) for i, probability in emission.alternatives),
        )
        for emission, (begin, end) in zip(emissions, pairwise(places), strict=True)
    )
    text = "".join(character.text for character in characters)
    confidence = scale.apply(joint_probability([c.confidence for c in characters]))
    return LineReading(text, confidence, box, characters)


def boundaries(emissions: Sequence[Emission]) -> list[float]:
    """Time steps between which the characters stand, one more than there are characters.

    CTC emits a character somewhere in its middle, so neighbours meet halfway; the first reaches as
    far to the left as to the right, the last likewise.
    """
    if not emissions:
        return []
    inner = [(a.end + b.begin) / 2 for a, b in pairwise(emissions)]
    first, last = emissions[0], emissions[-1]
    to_the_left = inner[0] - first.end if inner else 0.0
    to_the_right = last.begin - inner[-1] if inner else 0.0
    return [max(0.0, first.begin - to_the_left), *inner, last.end + to_the_right]


def photo_reading(lines: Sequence[LineReading], shape_HW: tuple[int, ...]) -> PhotoReading:
    """Lines as a photo of that shape; one that reads as nothing is none."""
    written = tuple(line for line in lines if line.text)
    return PhotoReading(
        "\n".join(line.text for line in written),
        min((line.confidence for line in written), default=0.0),
        written,
        (shape_HW[1], shape_HW[0]),
    )


def mean_confidence(reading: PhotoReading) -> float:
    """Geometric mean of the characters' probabilities, 0 where there is none."""
    sure = [character.confidence for line in reading.lines for character in line.characters]
    logs = [log(max(probability, 1e-9)) for probability in sure]
    return exp(sum(logs) / len(logs)) if logs else 0.0


def turned_back(reading: PhotoReading) -> PhotoReading:
    """The reading of a photo turned upside down, with the places of the photo before it was."""
    width, height = reading.size

    def turned(line: LineReading) -> LineReading:
        left, top, right, bottom = line.box
        characters = tuple(
            replace(c, left=width - c.right, right=width - c.left) for c in line.characters
        )
        box = (width - right, height - bottom, width - left, height - top)
        return replace(line, box=box, characters=characters)

    return replace(reading, lines=tuple(turned(line) for line in reading.lines))
