"""Returning memory to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3
"""Of glibc's malloc.h."""

LARGE_BYTES = 2**20


def return_large_blocks() -> None:
    """Let the C library return every block of at least `LARGE_BYTES` as soon as it is freed.

    glibc raises that size up to 32 MB after the first large block, and keeps what is smaller: after
    bodies of 31 MB the server held 430 MB instead of 150. Other C libraries have no such setting.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
