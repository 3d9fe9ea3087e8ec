"""The command `netchu verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netchu.cli.pipes import exit_on_closed_pipe


def verify_command(
    committed: Annotated[
        Path,
        typer.Argument(metavar="COMMITTED", help="A report's folder or its metrics.json."),
    ],
    rebuilt: Annotated[
        Path, typer.Argument(metavar="REBUILT", help="The same report, built again.")
    ],
    tolerance: Annotated[
        float,
        typer.Option(min=0, metavar="RATIO", help="Largest difference of CER; 0.02 is two points."),
    ] = 0.02,
) -> None:
    """Check that a rebuilt report has the committed metrics.

    CER may differ by the tolerance, WER and SER by three times as much. Sizes,
    numbers of parameters and lines, and the hashes of the lines must be equal.

    \b
    Example:
      netchu verify reports/laptop rebuilt/reports/laptop --tolerance 0.02

    \b
    Exit codes:
      0  every value of COMMITTED is reproduced
      1  some values are not
      2  a report is missing or broken
    """
    exit_on_closed_pipe()
    from rich.console import Console
    from rich.table import Table

    from netchu.evaluation.reproduction import check_reproduction

    values = check_reproduction(committed, rebuilt, tolerance)
    table = Table(title=f"committed and rebuilt (tolerance {tolerance})")
    for heading in ("value", "committed", "rebuilt", ""):
        table.add_column(heading)
    for value in values:
        verdict = "" if value.committed == value.rebuilt else "within" if value.holds else "FAILS"
        table.add_row(value.place, str(value.committed), str(value.rebuilt), verdict)
    Console().print(table)
    reproduced = sum(value.holds for value in values)
    print(f"{reproduced} of {len(values)} values reproduced")
    raise SystemExit(0 if reproduced == len(values) else 1)
