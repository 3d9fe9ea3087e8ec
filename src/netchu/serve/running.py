"""Running tasks of a request in the worker processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from netchu.core.errors import NetchuError
from netchu.serve.queueing import FullError, TaskQueue
from netchu.serve.uploads import RETRY_AFTER, refuse, refuse_busy


async def run_tasks(
    state: Any, address: str, task: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
) -> list[Any]:
    """Return what `task` returns for each of `arguments`, or its `NetchuError`.

    If the request ends before that, its tasks are ended, too.

    Args:
        state: that of the application.
        address: whose request it is.
        task: see `worker_process.Task`.
        arguments: those of each call.

    Raises:
        HTTPException: 429 the queue is full, 503 the tasks took too long.
    """
    queue: TaskQueue = state.queue
    try:
        futures = queue.submit(address, task, arguments)
    except FullError:
        refuse_busy()
    seconds: float = state.settings.limits.read_seconds
    try:
        async with asyncio.timeout(seconds):
            outcomes = await asyncio.gather(
                *map(asyncio.wrap_future, futures), return_exceptions=True
            )
    except TimeoutError:
        refuse(503, f"reading took longer than {seconds:g} seconds; send fewer images", RETRY_AFTER)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, NetchuError):
            raise outcome
    return outcomes
