"""The one exception with a message for the user, and how a process ends because of it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STOPPED = "stopped"
RESUMABLE = "stopped; the next run resumes from the last checkpoint"


class NetchuError(Exception):
    """An error that the user can fix.

    The message is one line that names the culprit and the way out.
    """


@contextmanager
def one_line_errors(interrupted: str = STOPPED) -> Iterator[None]:
    """Turn a `NetchuError` or Ctrl-C into one line on stderr and an exit code.

    The exit code is 2 for a `NetchuError` or a full disk and 130 for Ctrl-C. Every other exception
    keeps its traceback.

    Args:
        interrupted: what is printed after Ctrl-C.
    """
    try:
        yield
    except NetchuError as error:
        print(f"netchu: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _discard_unwritten_output()
        written = error.filename or "the output"
        print(f"netchu: {written}: {error.strerror}; free some space", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"netchu: {interrupted}", file=sys.stderr)
        raise SystemExit(130) from None


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
