"""The API key, and the headers and metrics of every response."""

from __future__ import annotations

import secrets
import time
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netchu.serve.metrics import ServerMetrics
from netchu.serve.uploads import refuse

SECURITY_HEADERS = {
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
"""Headers of every response: the page runs its own scripts and styles, and no others."""

_bearer = HTTPBearer(auto_error=False, description="Needed only if the server has an API key.")


def require_key(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Refuse requests without the API key, if the server has one."""
    key: str | None = request.app.state.settings.key
    if key and not (
        credentials
        and secrets.compare_digest(credentials.credentials.encode("latin-1"), key.encode())
    ):
        refuse(
            401,
            "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'",
            {"WWW-Authenticate": "Bearer"},
        )


class ResponseMiddleware:
    """Adds the security headers to every response and counts requests by route."""

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode())
                      for name, value in SECURITY_HEADERS.items()
                      if name.lower().encode() not in present),
                ]  # fmt: skip
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            # The pattern of the route, not the path: paths are unbounded and would fill the memory.
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.latency.labels(route).observe(time.perf_counter() - begin)
