"""Text to class ids and back; the only module that maps characters to ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from netchu.core.errors import NetchuError


@dataclass(frozen=True)
class Codec:
    """A one-to-one mapping of the characters of `alphabet` to ids.

    Character `i` has the id `specials + i`. The ids below `specials` belong to the decoder: 0 is
    the CTC blank (specials = 1), or 0, 1 and 2 are padding, start and end of an attention decoder
    (specials = 3).

    Raises:
        NetchuError: the alphabet holds a character twice.
    """

    alphabet: str
    specials: int = 1
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(set(self.alphabet)) != len(self.alphabet):
            raise NetchuError("the alphabet holds a character twice; name each one once")
        ids = {letter: i for i, letter in enumerate(self.alphabet, start=self.specials)}
        object.__setattr__(self, "_ids", ids)

    @property
    def size(self) -> int:
        """Number of classes, the special ones included."""
        return self.specials + len(self.alphabet)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`.

        Raises:
            NetchuError: a character is outside the alphabet.
        """
        try:
            return [self._ids[letter] for letter in text]
        except KeyError as missing:
            letter = missing.args[0]
            raise NetchuError(
                f"character {letter!r} (U+{ord(letter):04X}) of {text!r} is outside the model's "
                "alphabet; normalise the text, drop the line or train with a larger alphabet"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`, without the special ones."""
        return "".join(self.alphabet[i - self.specials] for i in ids if i >= self.specials)
