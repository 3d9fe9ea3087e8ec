"""The command `netchu serve`."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from netchu.core.errors import STOPPED, NetchuError, needs_extra

if TYPE_CHECKING:
    from netchu.serve.settings import Settings

KEY = "NETCHU_API_KEY"
"""Environment variable of the API key; an option would show it to other users of the machine."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
    grace: Annotated[
        int,
        typer.Option(
            min=0, metavar="SECONDS", help="Time for running requests when the server is stopped."
        ),
    ] = 30,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve a web page that reads handwriting, and its HTTP API.

    Nothing leaves this machine. If the environment variable NETCHU_API_KEY is
    set, requests to /api/ and /metrics need the key that it holds; the page, its
    files, /docs, /openapi.json and /healthz do not. Needs the extra:
    pip install 'netchu[serve]'

    \b
    Examples:
      netchu serve --open
      netchu serve --model mine=my_model --collect corrections
      netchu train --csv corrections/corrections.csv --out my_model

    \b
    Exit codes:
      2    it could not start
      130  it was stopped by Ctrl-C
      143  it was stopped by SIGTERM
    """
    from netchu.serve.settings import Settings

    hosts = Settings.hosts if host in LOOPBACK or allowed_host else None
    if hosts and allowed_host:
        hosts = (*hosts, *allowed_host)
    settings = Settings(
        tuple(model or ()), samples, collect, tuple(cors or ()), os.environ.get(KEY) or None, hosts
    )
    # uvicorn raises the signal again after the shutdown.
    signal.signal(signal.SIGTERM, _exit_after_sigterm)
    _serve(settings, host, port, grace, show)


def _exit_after_sigterm(number: int, frame: object) -> NoReturn:
    print(f"netchu: {STOPPED}", file=sys.stderr)
    raise SystemExit(128 + number)


def _serve(settings: Settings, host: str, port: int, grace: int, show: bool) -> None:
    import uvicorn

    from netchu.serve.app import create_app
    from netchu.serve.connections import bounded_protocol
    from netchu.serve.memory import return_large_blocks

    # Warnings of malformed requests would let any client fill the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    return_large_blocks()
    app = create_app(settings)
    listening = _listen(host, port)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=grace, http=bounded_protocol(settings.limits), ws="none",
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
