"""`netchu serve` in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

MAIN = [sys.executable, "-m", "netchu"]


def _interruptible():
    """Heed Ctrl-C, which a shell lets processes in the background ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def serving(*arguments, **environment):
    """Start `netchu serve` on a free port; yield its address and the process."""
    process = subprocess.Popen(
        [*MAIN, "serve", "--port", "0", *arguments], env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_interruptible,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stderr.read()
        yield found[0].rstrip("/"), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
