"""One process at a time where two would spoil each other's files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netchu.core.errors import NetchuError


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Within, no other process fills `path`, which need not exist.

    Holds `<path>.lock`; the system takes it from a process that ends, however it ends.

    Raises:
        NetchuError: another process holds it.
    """
    lock = path.with_name(path.name + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A run that ended just now has removed the file that was opened here.
            held = os.path.samestat(os.fstat(file.fileno()), lock.stat())
        except (BlockingIOError, FileNotFoundError):
            held = False
        if not held:
            raise NetchuError(f"another run is filling {path}; wait for it, or stop it")
        try:
            yield
        finally:
            lock.unlink()
