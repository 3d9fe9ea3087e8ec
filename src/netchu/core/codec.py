"""Text to numbers and back; the only place where a character becomes an id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from netchu.core.errors import NetchuError


@dataclass(frozen=True)
class Codec:
    """A bijection between the characters of `alphabet` and the ids `specials … specials+len-1`.

    Ids below `specials` are the family's own: 0 is the blank of CTC (specials = 1), or padding,
    start and end of an attention decoder (specials = 3).
    """

    alphabet: str
    specials: int = 1
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(set(self.alphabet)) != len(self.alphabet):
            raise NetchuError("the alphabet holds a character twice; write each one once")
        ids = {letter: place + self.specials for place, letter in enumerate(self.alphabet)}
        object.__setattr__(self, "_ids", ids)

    @property
    def size(self) -> int:
        """Number of classes, specials included."""
        return self.specials + len(self.alphabet)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; a character outside the alphabet is an error that names it."""
        try:
            return [self._ids[letter] for letter in text]
        except KeyError as missing:
            letter = missing.args[0]
            raise NetchuError(
                f"character {letter!r} (U+{ord(letter):04X}) of {text!r} is outside the model's "
                "alphabet; normalise the text, drop the line or train with a larger alphabet"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`; specials are left out."""
        return "".join(self.alphabet[i - self.specials] for i in ids if i >= self.specials)
