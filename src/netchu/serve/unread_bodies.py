"""Requests that are answered before their body has arrived."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netchu.serve.settings import Limits


class UnreadBodyMiddleware:
    """Receives and drops the rest of a body before the response, or closes the connection after it.

    A client that is still sending when its connection is closed would not see the response; one
    that never ends its body would keep the connection.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name for name, _ in scope["headers"]}
        has_arrived = not headers & {b"content-length", b"transfer-encoding"}

        async def receive_and_note() -> Message:
            nonlocal has_arrived
            message = await receive()
            has_arrived = not message.get("more_body", False)
            return message

        async def drop_rest() -> None:
            size = 0
            while not has_arrived and size <= self.limits.body_bytes:
                size += len((await receive_and_note()).get("body", b""))

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and not has_arrived:
                # A client that sends "Expect: 100-continue" has not sent its body yet.
                if message["status"] != 408 and b"expect" not in headers:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(drop_rest(), self.limits.drop_seconds)
                if not has_arrived:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self.app(scope, receive_and_note, send_after_body)
