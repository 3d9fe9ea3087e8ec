"""The command `netchu serve`."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netchu.core.errors import NetchuError, needs_extra

if TYPE_CHECKING:
    from netchu.serve.settings import Settings

KEY = "NETCHU_API_KEY"
"""Environment variable of the API key; an option would show it to other users of the machine."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

DRAIN_SECONDS = 30
"""How long a server that is stopped waits for running requests."""


@needs_extra("serve", "the web page")
def serve_command(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]DIR",
            help="Another model to choose from, a folder or one in MLflow "
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
            help="Store corrected readings there, as a table for netchu train --csv.",
            show_default="nothing is stored",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="0.0.0.0 lets other machines connect.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="0 takes a free port.")
    ] = 8000,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A host name under which the server may be reached, such as that of a proxy. May "
            "be repeated.",
            show_default="this machine's with the default --host, otherwise any",
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN", help="A web site whose pages may use the API. May be repeated."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve a web page that reads handwriting, and its HTTP API.

    Nothing leaves this machine. Every request needs the API key that the
    environment variable NETCHU_API_KEY holds, if it is set. Needs the extra:
    pip install 'netchu[serve]'

    \b
    Examples:
      netchu serve --open
      netchu serve --model mine=my_model --collect corrections
      netchu train --csv corrections/corrections.csv --out my_model

    \b
    Exit codes:
      0  the server was stopped
      2  it could not start
    """
    from netchu.serve.settings import Settings

    hosts = Settings.hosts if host in LOOPBACK or allowed_host else None
    if hosts and allowed_host:
        hosts = (*hosts, *allowed_host)
    settings = Settings(
        tuple(model or ()), samples, collect, tuple(cors or ()), os.environ.get(KEY) or None, hosts
    )
    with suppress(KeyboardInterrupt):  # the usual way to stop a server
        _serve(settings, host, port, show)


def _serve(settings: Settings, host: str, port: int, show: bool) -> None:
    import uvicorn

    from netchu.serve.app import create_app

    app = create_app(settings)
    listening = _listen(host, port)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS, limit_concurrency=1000,
    )  # fmt: skip
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"
    print(f"netchu: {address} (Ctrl-C stops it)", flush=True)
    if host not in LOOPBACK and not settings.key:
        print(f"netchu: anyone who reaches {host} may use it; {KEY} sets a key", file=sys.stderr)
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
