"""How a command fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from netchu.errors import one_line_errors


@contextmanager
def doorway() -> Iterator[None]:
    """An error is one line and exit code 2, Ctrl-C one line and 130."""
    with one_line_errors():
        try:
            yield
        except KeyboardInterrupt:
            print("netchu: stopped", file=sys.stderr)
            raise SystemExit(130) from None
