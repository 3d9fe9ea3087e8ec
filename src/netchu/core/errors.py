"""The one exception with a message for the user, and how a process ends because of it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED = "stopped"
RESUMABLE = "stopped; the next run resumes from the last checkpoint"


_FULL = "free some space"
_FORBIDDEN = "correct its permissions, or choose another place"
_DISK_ERRORS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit of file sizes, or choose another disk",
    errno.EROFS: _FORBIDDEN,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EIO: "check the disk",
}
"""Errors of a disk that the user can fix, and how."""


class Terminated(KeyboardInterrupt):
    """SIGTERM has arrived; what cleans up after Ctrl-C cleans up after it too."""


class NetchuError(Exception):
    """An error that the user can fix.

    The message is one line that names the culprit and the way out.
    """


@contextmanager
def one_line_errors(interrupted: str = STOPPED) -> Iterator[None]:
    """Turn a `NetchuError`, Ctrl-C or SIGTERM into one line on stderr and an exit code.

    The exit code is 2 for a `NetchuError` and for a disk that is full or cannot be written, 130 for
    Ctrl-C and 143 for SIGTERM. Every other exception keeps its traceback.

    Args:
        interrupted: what is printed after Ctrl-C and SIGTERM.
    """
    try:
        with _sigterm_as_exception():
            yield
    except NetchuError as error:
        print(f"netchu: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        _discard_unwritten_output()
        written = error.filename or "the output"
        remedy = _DISK_ERRORS[error.errno]
        print(f"netchu: {written}: {error.strerror}; {remedy}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt as stopped:
        print(f"netchu: {interrupted}", file=sys.stderr)
        number = signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT
        raise SystemExit(128 + number) from None


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """Raise `Terminated` in the main thread on SIGTERM while the block runs there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked process has inherited this handler
            os._exit(128 + number)
        raise Terminated

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _discard_unwritten_output() -> None:
    """Drop what stdout has buffered, if it cannot be written, so that the exit does not try."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def needs_extra(extra: str, task: str) -> Iterator[None]:
    """Turn a missing third-party module into an error that says what to install.

    Args:
        extra: the extra of the package that brings the module.
        task: what needs the module; the beginning of the message.

    Raises:
        NetchuError: a module outside netchu is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in ("", "netchu"):
            raise
        raise NetchuError(
            f"{task} needs {error.name}, which reading does not: pip install 'netchu[{extra}]'"
        ) from None
