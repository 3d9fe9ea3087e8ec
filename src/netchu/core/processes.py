"""Processes that end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

_POLL_SECONDS = 0.5


def exit_with_parent() -> None:
    """End this process, from a thread, within about a second after its parent has died.

    A parent that is killed cannot end its processes, and one that computes reads no closed pipe.
    Call it in a process that `multiprocessing` has started.
    """
    parent = multiprocessing.parent_process()
    assert parent
    watcher = threading.Thread(target=_watch, args=(parent.pid,), daemon=True)
    watcher.start()


def _watch(parent: int | None) -> None:
    # On Windows a process keeps the id of its dead parent, whose end of the pipe is closed then.
    process = multiprocessing.parent_process()
    while os.getppid() == parent and process and process.is_alive():
        time.sleep(_POLL_SECONDS)
    os._exit(1)
