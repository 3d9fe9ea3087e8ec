"""What `Reader` returns."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the photo; right and bottom are exclusive."""


@dataclass(frozen=True)
class Character:
    """One character of a line.

    Positions are in pixels of the photo after its EXIF rotation.

    Attributes:
        text: the character.
        confidence: probability in [0, 1] that it is right.
        left, top, right, bottom: the part of the line's box that it takes up.
        alternatives: other characters that it might be, as (text, probability), most probable
            first.
    """

    text: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class LineReading:
    """One line of a photo.

    Attributes:
        text: the line, which is the texts of its characters joined.
        confidence: probability in [0, 1] that all of it is right.
        box: left, top, right, bottom in pixels of the photo after its EXIF rotation; right and
            bottom are exclusive.
        characters: the characters, in the order of the text.
    """

    text: str
    confidence: float
    box: Box
    characters: tuple[Character, ...]


@dataclass(frozen=True)
class PhotoReading:
    """The text of a photo.

    Attributes:
        text: the lines, joined by line breaks; empty if there is no handwriting.
        confidence: the lowest confidence of the lines, 0 if there are none.
        lines: the lines, in reading order.
        size: width and height of the photo in pixels, after its EXIF rotation.
        unread: boxes, as those of lines, around ink of a letter's size that is in no line, and
            around lines in which no text was read.
        turns: quarter turns counter-clockwise that make the photo upright, as its lines were read.
    """

    text: str
    confidence: float
    lines: tuple[LineReading, ...]
    size: tuple[int, int]
    turns: int = 0
    unread: tuple[Box, ...] = ()
