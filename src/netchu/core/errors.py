"""The one exception a user is meant to read, and the doorway that prints it as a single line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class NetchuError(Exception):
    """Something the user can mend: the message names the culprit and the way out, in one line."""


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a `NetchuError` (or Ctrl-C) into one line on stderr and exit code 2 (or 130)."""
    try:
        yield
    except NetchuError as error:
        print(f"netchu: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("netchu: stopped; the next run goes on from the last checkpoint", file=sys.stderr)
        raise SystemExit(130) from None
