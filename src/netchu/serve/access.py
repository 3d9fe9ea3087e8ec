"""Who may ask, and what the browser is told about the answers."""

from __future__ import annotations

import secrets
import time
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netchu.serve.metrics import Measures
from netchu.serve.uploads import refuse

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Of every answer: the page runs its own scripts and styles, and nothing else."""

_bearer = HTTPBearer(auto_error=False, description="Only where the server was given a key.")


def with_key(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Refuse whoever does not bring the server's key, if it has one."""
    key: str | None = request.app.state.settings.key
    if key and not (
        given and secrets.compare_digest(given.credentials.encode("latin-1"), key.encode())
    ):
        refuse(
            401,
            "the key is missing or wrong; send it as 'Authorization: Bearer KEY'",
            {"WWW-Authenticate": "Bearer"},
        )


class Guard:
    """Around the whole application: adds the headers and counts requests by route."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self.app = app
        self.measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                known = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()
                      if name.lower().encode() not in known),
                ]  # fmt: skip
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            # The route's pattern, never the path: a stranger must not fill the memory with names.
            route = getattr(scope.get("route"), "path", "other")
            self.measures.requests.labels(route, str(status)).inc()
            self.measures.seconds.labels(route).observe(time.perf_counter() - begin)
