"""The command `netchu serve`."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netchu.core.errors import NetchuError, one_line_errors

if TYPE_CHECKING:
    from netchu.serve.settings import Settings

KEY = "NETCHU_API_KEY"
"""Of the environment, where other users of the machine do not see it."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

DRAIN = 30
"""Seconds that a server which is told to end gives to the requests it has."""


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]DIR",
            help="Another model to choose, a folder or one in MLflow "
            "(NAME=models:/netchu-real@champion). May be repeated.",
        ),
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Images for 'Get images'.", show_default="twelve drawn lines"
        ),
    ] = None,
    collect: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep corrected readings there, as a table that netchu train --csv takes.",
            show_default="nothing is kept",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="0.0.0.0 lets other machines ask, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N")] = 8000,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A web site whose pages may ask. May be repeated."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Show a web page that reads handwriting, with an API behind it.

    Nothing leaves this machine. An API key in NETCHU_API_KEY is asked of every request.
    Needs more than reading does: pip install 'netchu[serve]'

    \b
    Examples:
      netchu serve --open
      netchu serve --model mine=my_model --collect corrections
      netchu train --csv corrections/corrections.csv --out my_model
    """
    with one_line_errors():
        try:
            from netchu.serve.settings import Settings

            hosts = Settings.hosts if host in LOOPBACK else None
            _serve(
                Settings(
                    tuple(model or ()), samples, collect, tuple(cors or ()),
                    os.environ.get(KEY) or None, hosts,
                ),
                host, port, show,
            )  # fmt: skip
        except KeyboardInterrupt:
            pass  # how a server is ended


def _serve(settings: Settings, host: str, port: int, show: bool) -> None:
    try:
        import uvicorn

        from netchu.serve.app import create_app
    except ModuleNotFoundError as missing:
        if str(missing.name).startswith("netchu"):
            raise
        raise NetchuError(
            f"the web page needs {missing.name}, which reading does not: "
            "pip install 'netchu[serve]'"
        ) from None
    app = create_app(settings)
    listening = _listen(host, port)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=DRAIN, limit_concurrency=1000,
    )  # fmt: skip
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"
    print(f"netchu: {address} (Ctrl-C ends it)", flush=True)
    if host not in LOOPBACK and not settings.key:
        print(f"netchu: whoever reaches {host} may ask; {KEY} sets a key", file=sys.stderr)
    if show:
        webbrowser.open(address)
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise NetchuError(
            f"{host}:{port} cannot be served ({error.strerror or error}); choose another --port"
        ) from None
