"""A lock between processes that write to the same path."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netchu.core.errors import NetchuError


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, which need not exist, while the block runs.

    The lock is on the file `<path>.lock`. The operating system releases it when the process ends,
    even if it is killed.

    Raises:
        NetchuError: another process holds the lock.
    """
    lock = path.with_name(path.name + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A process that has just released the lock may have removed the file opened here.
            held = os.path.samestat(os.fstat(file.fileno()), lock.stat())
        except (BlockingIOError, FileNotFoundError):
            held = False
        if not held:
            raise NetchuError(f"another process is writing {path}; wait for it, or stop it")
        try:
            yield
        finally:
            lock.unlink()
