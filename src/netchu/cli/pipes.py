"""Output that is piped into another command."""

from __future__ import annotations

import signal


def exit_on_closed_pipe() -> None:
    """End this process without a message when the reader of its output ends, as `head` does.

    Only for commands that print and exit: SIGPIPE also arrives when the peer of a socket closes it,
    and must end neither a server nor a training run that logs to one.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
