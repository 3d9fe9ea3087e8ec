"""Settings of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Limits that keep the server's time, memory and disk bounded, whatever it is sent."""

    body_bytes: int = 32 * 2**20
    """Size of the body of one request."""
    total_body_bytes: int = 256 * 2**20
    """Size of all bodies that are in memory at the same time."""
    body_bytes_per_address: int = 128 * 2**20
    """The same of one address."""
    images: int = 32
    """Images of one request."""
    pending_images: int = 128
    """Images of all requests that are queued or being read at the same time."""
    pending_images_per_address: int = 64
    """The same of one address."""
    connections: int = 800
    """Connections at the same time. Systems allow a process 1,024 open files by default."""
    connections_per_address: int = 256
    """The same of one address."""
    head_seconds: float = 10.0
    """Time until the head of a request must have arrived, from the connection or its first byte."""
    send_seconds: float = 30.0
    """Time until a client must have read what was sent."""
    drop_seconds: float = 5.0
    """Time for the rest of a body whose request is answered without it."""
    upload_seconds: float = 60.0
    """Time until the body of a request must have arrived."""
    read_seconds: float = 60.0
    """Time until its images must have been read."""
    image_seconds: float = 30.0
    """Time that one image may take, without its wait in the queue."""
    worker_bytes: int = 2 * 2**30
    """Address space of a process that reads images, where the system can limit it."""
    label_length: int = 500
    """Characters of a corrected line."""
    corrections: int = 20_000
    """Corrections that a folder takes."""


@dataclass(frozen=True)
class Settings:
    """How a server is set up."""

    models: tuple[str, ...] = ()
    """Models besides the shipped one, as `NAME=LOCATION` or `LOCATION`."""
    samples: Path | None = None
    """Folder of sample images; None shows the shipped ones."""
    collect: Path | None = None
    """Folder for corrections; None does not collect them."""
    origins: tuple[str, ...] = ()
    """Other web sites whose pages may use the API (CORS)."""
    key: str | None = None
    """API key that requests need; None needs none."""
    hosts: tuple[str, ...] | None = ("127.0.0.1", "localhost", "::1", "[::1]")
    """Host names that the server answers to; None accepts any."""
    limits: Limits = field(default_factory=Limits)
    """Limits of what the server takes."""
