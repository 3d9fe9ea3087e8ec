"""Run third-party programs with a time limit; a failure is reported by the last line of the log."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from netchu.evaluation.baselines.base import UnavailableError

GRACE_SECONDS = 60.0
"""Time between SIGTERM and SIGKILL, in which a process may save its work."""

MAX_REASON = 200
"""Characters of the reason of a failure."""


def run_program(
    command: Sequence[str],
    log: Path,
    seconds: float,
    environ: Mapping[str, str],
    *,
    cwd: Path | None = None,
) -> None:
    """Run a command and write its output to `log`.

    Args:
        command: program and arguments.
        log: file for stdout and stderr.
        seconds: time limit.
        environ: variables that are added to the environment.
        cwd: working directory.

    Raises:
        UnavailableError: the program does not start, fails, or exceeds the time limit.
    """
    name = Path(command[0]).name
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                cwd=cwd,
                env={**os.environ, **environ}, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise UnavailableError(f"{name} does not start: {error.strerror}") from None
    try:
        failed = process.wait(seconds) != 0
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{name} took longer than {seconds / 60:.0f} minutes") from None
    finally:
        _stop(process)
    if failed:
        raise UnavailableError(last_log_line(log) or f"{name} failed without output")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, then kill its whole process group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_log_line(log: Path) -> str:
    """Return the last line of a log, without URLs and paths, because reports are published."""
    text = log.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    rows = [row for part in re.split(r"[\r\n]+", text) if (row := part.strip(" ╭╮╰╯│─"))]
    line = re.sub(r"(\w+:/)?/[^\s'\"`,;)]*", "…", rows[-1]) if rows else ""
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"
