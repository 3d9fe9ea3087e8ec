"""The command `netchu audit`: labels that several systems contradict with one voice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netchu.cli.exits import exit_codes, exit_on_closed_pipe
from netchu.core.errors import NetchuError

if TYPE_CHECKING:
    import pandas as pd


def audit(
    systems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYSTEM", help="Of params.yaml.", show_default="all that are evaluated"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where it is written.", show_default="audit/PROFILE"),
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="A picture of the first lines, too: sheet.png.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The lines on stdout, one JSON object a line.")
    ] = False,
) -> None:
    """List evaluated lines that three or more systems read alike, and otherwise than their label.

    The list, suspects.csv, lies in a folder that git ignores, for it holds
    labels. Where only the placement of a tone differs (hoà, hòa), a line is
    not listed.

    \b
    Exit codes:
      0  the list is written; it may be empty
      2  nothing is written: something was missing or wrong
    """
    exit_on_closed_pipe()
    with exit_codes():
        try:
            found, written = _audit(systems or [], out, sheet=sheet)
        except ModuleNotFoundError as missing:
            raise NetchuError(
                f"an audit needs {missing.name}, which reading does not: pip install "
                "'netchu[train]'"
            ) from None
    if as_json:
        print(found.to_json(orient="records", lines=True, force_ascii=False), end="")
    else:
        print(f"{len(found)} lines to look at: {', '.join(map(str, written))}")


def _audit(systems: list[str], out: Path | None, *, sheet: bool) -> tuple[pd.DataFrame, list[Path]]:
    from netchu.core.params import load_params
    from netchu.core.paths import AUDIT
    from netchu.evaluation.audit import suspects, write_audit

    params = load_params()
    home = params.models
    for system in systems:
        params.system(system)
    evaluated = {name: home / name / "evaluation" for name in systems or params.systems}
    if not systems:
        evaluated = {name: folder for name, folder in evaluated.items() if folder.is_dir()}
    found = suspects(evaluated)
    out = out or AUDIT / params.profile
    return found, write_audit(params, found, out, sheet=sheet)
