"""A process that decodes and reads images, with bounds on its time and memory.

Decoders and networks are native code that no other thread can stop, so what overruns its time is
ended with its process.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Concatenate, ParamSpec, TypeVar

import cv2

from netchu.core.errors import NetchuError
from netchu.serve.tasks import Readers

_P = ParamSpec("_P")
_T = TypeVar("_T")

Task = Callable[Concatenate[Readers, _P], _T]
"""A function of a module, which the process calls with its readers and further arguments."""

START_SECONDS = 60
"""Time until a new process must have loaded its models."""

POLL_SECONDS = 0.1
"""How often a running task is checked for whether its result is still wanted."""


class NotWantedError(Exception):
    """The task was ended because nobody waits for its result."""


class WorkerProcess:
    """A process with its own copy of the models, and the connection to it. Belongs to one thread.

    A process that was ended, or that ended by itself, is replaced at once.
    """

    def __init__(
        self, readers: Readers, memory_bytes: int, on_replace: Callable[[], None] = lambda: None
    ) -> None:
        """Start the process.

        Args:
            readers: the models, by name; the process loads them from their folders.
            memory_bytes: address space of the process, where the system can limit it.
            on_replace: called when a process has been replaced.
        """
        self._arguments = pickle.dumps(readers), memory_bytes
        self._memory_bytes = memory_bytes
        self._on_replace = on_replace
        self._is_ready = False
        self._start()

    def run(
        self,
        task: Callable[..., Any],
        arguments: tuple[Any, ...],
        seconds: float,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Any:
        """Return what `task` returns.

        Args:
            task: see `Task`.
            arguments: its arguments after the readers.
            seconds: the process is ended when the task takes longer.
            is_wanted: the process is ended when this returns False.

        Raises:
            NetchuError: the task took too long or too much memory, or ended the process.
            NotWantedError: `is_wanted` returned False.
            Exception: what the task raised.
        """
        if (
            not self._process.is_alive()
        ):  # killed while it was idle, as for the memory of the system
            self._replace()
        try:
            if not self._is_ready:
                self._wait(START_SECONDS, is_wanted)
                self._is_ready = bool(self._connection.recv())
            self._connection.send((task, arguments))
            self._wait(seconds, is_wanted)
            result = self._connection.recv()
        except TimeoutError:  # before OSError, of which it is one
            self._replace()
            raise NetchuError(
                f"reading it took more than {seconds:g} seconds; send a smaller part of it"
            ) from None
        except (EOFError, OSError):
            self._replace()
            raise NetchuError(
                "reading it ended the process, as a damaged image can; save it anew, or smaller"
            ) from None
        except NotWantedError:
            self._replace()
            raise
        if isinstance(result, MemoryError):
            raise NetchuError(
                f"reading it needs more than {self._memory_bytes >> 20} MB of memory; "
                "send it smaller"
            )
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _start(self) -> None:
        context = multiprocessing.get_context(_START_METHOD)
        self._connection, other = context.Pipe()
        self._process = context.Process(  # type: ignore[attr-defined]
            target=_work, args=(other, *self._arguments), name="netchu-worker", daemon=True
        )
        self._process.start()
        other.close()  # else the end of the process would not close the connection
        self._is_ready = False

    def _replace(self) -> None:
        self.close()
        self._start()
        self._on_replace()

    def _wait(self, seconds: float, is_wanted: Callable[[], bool]) -> None:
        """Wait until the process has sent something or ended."""
        until = time.monotonic() + seconds
        while not self._connection.poll(max(0.0, min(POLL_SECONDS, until - time.monotonic()))):
            if not is_wanted():
                raise NotWantedError
            if time.monotonic() >= until:
                raise TimeoutError


def _choose_start_method() -> str:
    """Return how processes are started.

    The fork server has loaded the libraries once, so a new process is ready in 0.2 seconds and
    shares their memory. A fork of the server itself would inherit its threads' locks and its
    connections.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"  # Windows
    multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
    return "forkserver"


_START_METHOD = _choose_start_method()


def _work(connection: Connection, readers: bytes, memory_bytes: int) -> None:
    """Load the models, report that, and run tasks until the connection is closed."""
    # The server ends its processes itself, after the requests that run when it is told to stop.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    threading.Thread(target=_exit_with_server, daemon=True).start()
    _limit_memory(memory_bytes)
    loaded: Readers = pickle.loads(readers)
    connection.send(True)
    # Decoders write there what they find in damaged images, which would let clients fill the log.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        try:
            task, arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            result = task(loaded, *arguments)
        except Exception as error:
            result = _as_memory_error(error)
            result.add_note(traceback.format_exc())
        connection.send(result)
        del task, arguments, result  # an idle process holds no image


def _exit_with_server() -> None:
    """Wait for the end of the server, however it ended, and exit."""
    if server := multiprocessing.parent_process():
        server.join()
    os._exit(1)


def _limit_memory(memory_bytes: int) -> None:
    """Limit the address space of this process, where the system can."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        memory_bytes = min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, hard))


def _as_memory_error(error: Exception) -> Exception:
    """Return a MemoryError for what native code raises in its place, else the error itself."""
    is_out_of_memory = isinstance(error, cv2.error) and error.code == cv2.Error.STS_NO_MEM
    if is_out_of_memory or "bad_alloc" in str(error) or "allocate memory" in str(error):
        return MemoryError()
    return error
