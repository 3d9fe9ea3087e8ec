"""The command `netchu audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netchu.cli.pipes import exit_on_closed_pipe
from netchu.core.errors import needs_extra


@needs_extra("train", "an audit")
def audit_command(
    systems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYSTEM", help="Systems of params.yaml.", show_default="all evaluated ones"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Output folder.", show_default="audit/PROFILE"),
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Also write the images of the first lines, sheet.png.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the lines, one JSON object per line.")
    ] = False,
) -> None:
    """List test lines whose label is probably wrong.

    These are the lines that three or more systems read alike and otherwise than
    their label says. The list, suspects.csv, holds labels, so git ignores its
    folder. A line that differs only in where a tone is placed (hoà, hòa) is not
    listed. Needs the extra: pip install 'netchu[train]'

    \b
    Examples:
      netchu audit
      netchu audit netchu_small crnn_vgg crnn_residual --sheet

    \b
    Exit codes:
      0  the list was written; it may be empty
      2  nothing was written: something was missing or wrong
    """
    exit_on_closed_pipe()
    from netchu.core.params import load_params
    from netchu.core.paths import AUDIT
    from netchu.evaluation.audit import find_suspects, write_audit

    params = load_params()
    for system in systems or ():
        params.system(system)
    evaluations = {name: params.models / name / "evaluation" for name in systems or params.systems}
    if not systems:
        evaluations = {name: folder for name, folder in evaluations.items() if folder.is_dir()}
    found = find_suspects(evaluations)
    written = write_audit(params, found, out or AUDIT / params.profile, sheet=sheet)
    if as_json:
        print(found.to_json(orient="records", lines=True, force_ascii=False), end="")
    else:
        print(f"{len(found)} lines to look at: {', '.join(map(str, written))}")
