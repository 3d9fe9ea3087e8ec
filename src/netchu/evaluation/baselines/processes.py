"""Running other people's programs: in bounds of time, with their last words kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from netchu.evaluation.baselines.base import UnavailableError

GRACE = 60.0
"""Seconds a process has to save its work when its time is over."""

LONGEST = 200
"""Letters of a reason."""


def run(
    command: Sequence[str],
    log: Path,
    seconds: float,
    environ: Mapping[str, str],
    *,
    place: Path | None = None,
    endless: bool = False,
) -> None:
    """Run a command to its end, in the folder `place`, its output going to `log`.

    endless: it is stopped when its seconds are over, and that is no error.

    Raises:
        UnavailableError: it is not there, failed, or (not endless) outlasted its seconds.
    """
    name = Path(command[0]).name
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                cwd=place,
                env={**os.environ, **environ}, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise UnavailableError(f"{name} does not start: {error.strerror}") from None
    try:
        failed = process.wait(seconds) != 0
    except subprocess.TimeoutExpired:
        if not endless:
            raise UnavailableError(f"{name} took longer than {seconds / 60:.0f} minutes") from None
        failed = False
    finally:
        _stop(process)
    if failed:
        raise UnavailableError(last_words(log) or f"{name} failed and said nothing")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, then end it with all that it started."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_words(log: Path) -> str:
    """The last line of a log, with addresses and places of this machine left out.

    It may stand in a report that is published.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    rows = [row for part in re.split(r"[\r\n]+", text) if (row := part.strip(" ╭╮╰╯│─"))]
    words = re.sub(r"(\w+:/)?/[^\s'\"`,;)]*", "…", rows[-1]) if rows else ""
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"
