"""Connections that are bounded in number and in time.

uvicorn waits without limit for the first request of a connection, for the rest of a request's head
and for a client that does not read its response.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from netchu.serve.addresses import address_key
from netchu.serve.settings import Limits


class _Timer:
    """Calls `action` unless it is stopped within `seconds`; starting it twice changes nothing."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, action: Callable[[], None]
    ) -> None:
        self._loop, self._seconds, self._action = loop, seconds, action
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._handle = self._handle or self._loop.call_later(self._seconds, self._action)

    def stop(self) -> None:
        if self._handle:
            self._handle.cancel()
            self._handle = None


class BoundedProtocol(H11Protocol):
    """The HTTP protocol of one connection.

    If there are too many connections, one of the address that has most of them is closed: the one
    that has waited longest for a request, or else for the rest of one.
    """

    limits: Limits
    """Those of the server, see `bounded_protocol`."""

    address: str
    since: float
    """Time of the event loop at which the connection began to wait for a request, or a request
    began."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request, and close a connection if there are too many."""
        super().connection_made(transport)
        self.address = address_key(self.client[0] if self.client else None)
        self.since = self.loop.time()
        self._head_timer = _Timer(self.loop, self.limits.head_seconds, transport.abort)
        self._send_timer = _Timer(self.loop, self.limits.send_seconds, transport.abort)
        self._head_timer.start()
        self._close_surplus()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        super().connection_lost(exc)
        self._head_timer.stop()
        self._send_timer.stop()

    def data_received(self, data: bytes) -> None:
        """Handle a part of a request; its head has to arrive within `Limits.head_seconds`."""
        was_waiting = self._rank() == _WAITING
        super().data_received(data)
        if self._rank() == _WAITING:
            self._head_timer.start()
        elif was_waiting:
            self.since = self.loop.time()
            self._head_timer.stop()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client has read what was sent, for `Limits.send_seconds` at most."""
        super().pause_writing()
        self._send_timer.start()

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        self._send_timer.stop()

    def _close_surplus(self) -> None:
        """Close a connection if there are more than `Limits` allows."""
        addresses = Counter(each.address for each in self._others())
        if addresses[self.address] >= self.limits.connections_per_address:
            address = self.address
        elif addresses.total() >= self.limits.connections:
            address = addresses.most_common(1)[0][0]
        else:
            return
        others = [each for each in self._others() if each.address == address]
        oldest = min(others, key=lambda each: (each._rank(), each.since))
        if oldest._rank() == _RUNNING and address == self.address:
            oldest = self
        oldest.transport.abort()

    def _others(self) -> list[Any]:
        return [
            each
            for each in self.connections
            if isinstance(each, BoundedProtocol)
            and each is not self
            and not each.transport.is_closing()
        ]

    def _rank(self) -> int:
        state = self.conn.their_state
        return _WAITING if state is h11.IDLE else _SENDING if state is h11.SEND_BODY else _RUNNING


_WAITING, _SENDING, _RUNNING = range(3)
"""Whether a client has a request, or a part of one. The first of them are closed first."""


def bounded_protocol(limits: Limits) -> type[H11Protocol]:
    """Return the protocol of a server with these limits."""
    return type("BoundedProtocol", (BoundedProtocol,), {"limits": limits})
