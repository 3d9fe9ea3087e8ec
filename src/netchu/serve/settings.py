"""What whoever starts the server may choose, and what they may not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """What one server takes on, so that no crowd and no file can fill its memory.

    body: bytes of one request. images: of one request. places: images that wait or are read at
    one time, over all requests. held: bytes of bodies at one time, over all requests. upload,
    answer: seconds until a body has come and until its reading is there. label: characters of a
    correction. corrections: how many a folder takes.
    """

    body: int = 32 * 2**20
    images: int = 32
    places: int = 64
    held: int = 256 * 2**20
    upload: float = 60.0
    answer: float = 60.0
    label: int = 500
    corrections: int = 20_000


@dataclass(frozen=True)
class Settings:
    """How a server is set up.

    models: `NAME=PLACE` or `PLACE`, besides the shipped one. samples: a folder of images to show
    instead of the shipped ones. collect: where corrections go, None for nowhere. origins: other
    web sites whose pages may ask. key: what a request must carry, None for nothing. hosts: names
    by which the server may be called, None for any.
    """

    models: tuple[str, ...] = ()
    samples: Path | None = None
    collect: Path | None = None
    origins: tuple[str, ...] = ()
    key: str | None = None
    hosts: tuple[str, ...] | None = ("127.0.0.1", "localhost", "::1", "[::1]")
    limits: Limits = field(default_factory=Limits)
