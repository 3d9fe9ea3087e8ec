"""A lock between processes that write to the same path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from netchu.core.errors import NetchuError


@contextmanager
def exclusive_lock(path: Path, task: str = "") -> Iterator[None]:
    """Hold the lock of `path`, which need not exist, while the block runs.

    The lock is on the file `<path>.lock`. The operating system releases it when the process ends,
    even if it is killed.

    Args:
        path: what is locked.
        task: what a process that holds the lock is doing, for the message.

    Raises:
        NetchuError: another process holds the lock.
    """
    lock = path.with_name(path.name + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(lock, timeout=0).acquire()
    except Timeout:
        task = task or f"writing {path}"
        raise NetchuError(f"another process is {task}; wait for it, or stop it") from None
    with held:
        try:
            yield
        finally:
            # Before the release: afterwards it may be another process's. Windows removes no open
            # file, there it stays.
            with suppress(OSError):
                lock.unlink()
