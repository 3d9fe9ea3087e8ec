"""Turning decoded characters into results with positions in the photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp, log

from netchu.core.codec import Codec
from netchu.decoding.greedy import Emission
from netchu.decoding.readings import joint_probability
from netchu.decoding.scaling import NO_SCALING, PlattScaling
from netchu.inference.results import Box, Character, LineReading, PhotoReading


def build_line_reading(
    emissions: Sequence[Emission],
    boundaries: Sequence[float],
    codec: Codec,
    box: Box,
    step: float,
    scaling: PlattScaling = NO_SCALING,
) -> LineReading:
    """Return the reading of one line.

    Args:
        emissions: the decoded characters.
        boundaries: of the characters in time steps, one more than there are characters.
        codec: names the classes.
        box: where the line is in the photo.
        step: pixels of the photo per time step.
        scaling: scaling of the line's confidence, the product of its characters' confidences.
    """
    left, top, right, bottom = box
    edges = [min(right, left + step * time) for time in boundaries]
    characters = tuple(
        Character(
            codec.decode([emission.id]),
            emission.probability,
            begin,
            top,
            end,
            bottom,
            tuple((codec.decode([i]), probability) for i, probability in emission.alternatives),
        )
        for emission, (begin, end) in zip(emissions, pairwise(edges), strict=True)
    )
    text = "".join(character.text for character in characters)
    confidence = scaling.apply(joint_probability([c.confidence for c in characters]))
    return LineReading(text, confidence, box, characters)


def insert_spaces(emissions: Sequence[Emission], space: int, gap: float) -> list[Emission]:
    """Return the characters with a space wherever two are more than `gap` time steps apart.

    The network reads no space in a gap that is much wider than those between words, such as the one
    between two fields of a form.

    Args:
        emissions: the decoded characters.
        space: class of the space.
        gap: time steps.
    """
    spaced: list[Emission] = []
    for emission in emissions:
        if spaced and space not in (spaced[-1].id, emission.id):
            begin, end = spaced[-1].end, emission.begin
            if end - begin > gap:
                spaced.append(replace(emission, id=space, begin=begin, end=end, probability=1.0,
                                      alternatives=()))  # fmt: skip
        spaced.append(emission)
    return spaced


def character_boundaries(emissions: Sequence[Emission]) -> list[float]:
    """Return the boundaries of the characters in time steps, one more than there are characters.

    CTC emits a character near its middle, so the boundary of two neighbours is halfway between
    them. The first character extends as far to the left as to the right, the last likewise.
    """
    if not emissions:
        return []
    inner = [(a.end + b.begin) / 2 for a, b in pairwise(emissions)]
    first, last = emissions[0], emissions[-1]
    before_first = inner[0] - first.end if inner else 0.0
    after_last = last.begin - inner[-1] if inner else 0.0
    return [max(0.0, first.begin - before_first), *inner, last.end + after_last]


def build_photo_reading(
    lines: Sequence[LineReading], shape_HW: tuple[int, ...], unread: tuple[Box, ...] = ()
) -> PhotoReading:
    """Return the reading of a photo of shape `shape_HW`; lines without text are left out."""
    with_text = tuple(line for line in lines if line.text)
    return PhotoReading(
        "\n".join(line.text for line in with_text),
        min((line.confidence for line in with_text), default=0.0),
        with_text,
        (shape_HW[1], shape_HW[0]),
        unread=unread,
    )


def mean_confidence(reading: PhotoReading) -> float:
    """Return the geometric mean of the characters' confidences, 0 if there are no characters."""
    confidences = [c.confidence for line in reading.lines for c in line.characters]
    logs = [log(max(confidence, 1e-9)) for confidence in confidences]
    return exp(sum(logs) / len(logs)) if logs else 0.0


def rotate_reading(reading: PhotoReading, turns: int) -> PhotoReading:
    """Map the positions of a reading of `np.rot90(photo, turns)` to the photo."""
    for _ in range(turns % 4):
        reading = _rotate_clockwise(reading)
    return replace(reading, turns=turns % 4)


def _rotate_clockwise(reading: PhotoReading) -> PhotoReading:
    """Map the positions to the photo that is rotated by 90 degrees clockwise."""
    width, height = reading.size

    def map_box(box: Box) -> Box:
        left, top, right, bottom = box
        return height - bottom, left, height - top, right

    def map_character(c: Character) -> Character:
        return replace(c, left=height - c.bottom, top=c.left, right=height - c.top, bottom=c.right)

    return replace(_map_positions(reading, map_box, map_character), size=(height, width))


def scale_reading(reading: PhotoReading, size: tuple[int, int]) -> PhotoReading:
    """Map the positions of a reading to the photo at its own size, in pixels (width, height)."""
    if size == reading.size:
        return reading
    across, down = size[0] / reading.size[0], size[1] / reading.size[1]

    def scale_box(box: Box) -> Box:
        left, top, right, bottom = box
        return round(left * across), round(top * down), round(right * across), round(bottom * down)

    def scale_character(c: Character) -> Character:
        return replace(
            c,
            left=c.left * across,
            top=c.top * down,
            right=c.right * across,
            bottom=c.bottom * down,
        )

    return replace(_map_positions(reading, scale_box, scale_character), size=size)


def _map_positions(
    reading: PhotoReading,
    map_box: Callable[[Box], Box],
    map_character: Callable[[Character], Character],
) -> PhotoReading:
    lines = tuple(
        replace(line, box=map_box(line.box), characters=tuple(map(map_character, line.characters)))
        for line in reading.lines
    )
    return replace(reading, lines=lines, unread=tuple(map(map_box, reading.unread)))
