"""The command `netchu`: the list of its commands, and what all of them have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

import netchu
from netchu.cli import bundle
from netchu.cli.audit import audit_command
from netchu.cli.compare import compare_command
from netchu.cli.gate import gate_command
from netchu.cli.plan import plan_command
from netchu.cli.profile import profile_command
from netchu.cli.promote import promote_command
from netchu.cli.read import read_command
from netchu.cli.register import register_command
from netchu.cli.repro import repro_command
from netchu.cli.samples import samples_command
from netchu.cli.serve import serve_command
from netchu.cli.ship import ship_command
from netchu.cli.track import track_command
from netchu.cli.train import train_command
from netchu.cli.ui import ui_command
from netchu.cli.verify import verify_command
from netchu.core.errors import NetchuError, one_line_errors

HELP = "Read Vietnamese handwriting, offline, and train, compare and ship recognisers of it."
COMMANDS: dict[str, Callable[..., None]] = {
    "read": read_command,
    "serve": serve_command,
    "train": train_command,
    "compare": compare_command,
    "audit": audit_command,
    "verify": verify_command,
    "gate": gate_command,
    "repro": repro_command,
    "plan": plan_command,
    "profile": profile_command,
    "track": track_command,
    "ui": ui_command,
    "register": register_command,
    "promote": promote_command,
    "ship": ship_command,
    "samples": samples_command,
}
BUNDLE_COMMANDS: dict[str, Callable[..., None]] = {
    "pack": bundle.pack_command,
    "train": bundle.train_command,
    "unpack": bundle.unpack_command,
}


def _group(help: str, commands: dict[str, Callable[..., None]]) -> typer.Typer:
    group = typer.Typer(
        help=help, add_completion=False, no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    for name, command in commands.items():
        group.command(name)(one_line_errors()(command))
    return group


app = _group(HELP, COMMANDS)
app.add_typer(_group(bundle.HELP, BUNDLE_COMMANDS), name="bundle")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"netchu {netchu.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options in front of the command."""


def main() -> None:
    """Run the command line; output is UTF-8 in every locale."""
    for stream in (sys.stdout, sys.stderr):
        if stream:  # None if the shell closed it
            # A path that is not UTF-8 is escaped, which is valid in JSON, too.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    with one_line_errors():
        if not sys.stdout:
            raise NetchuError("the output is closed; send it to a file or to /dev/null")
        try:
            app()
        finally:
            sys.stdout.flush()
