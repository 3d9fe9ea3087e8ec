"""How a command fails."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from netchu.core.errors import one_line_errors


@contextmanager
def exit_codes() -> Iterator[None]:
    """An error is one line and exit code 2, Ctrl-C one line and 130."""
    with one_line_errors():
        try:
            yield
        except KeyboardInterrupt:
            print("netchu: stopped", file=sys.stderr)
            raise SystemExit(130) from None


def exit_on_closed_pipe() -> None:
    """End the process silently when its output is piped into `head`, as other tools do.

    Only for commands that print and exit: SIGPIPE also arrives when the other
    side of a socket closes, and must end neither a server nor a training that
    logs to one.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
