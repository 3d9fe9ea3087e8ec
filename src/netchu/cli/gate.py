"""The command `netchu gate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from netchu.cli.pipes import exit_on_closed_pipe
from netchu.core.errors import needs_extra


@needs_extra("train", "the gate")
def gate_command(
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE", help="The folder of the report before the change.")
    ],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="That of the report after it.")],
    new_lines: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="A YAML file with the reason for each hash of new test lines."
        ),
    ] = Path("reports/new_test_lines.yaml"),
    margin: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="RATIO",
            help="Largest rise of CER that passes; between processors 0.02, which is two points.",
        ),
    ] = 0.0,
) -> None:
    """Fail where a change makes a system of a report worse.

    A system is worse if its CER on the same test lines of a dataset is higher,
    significantly and by more than the margin; if it is more than 1.1 times as
    large or as much arithmetic; or if it takes more than twice as long, measured
    against a fixed workload in the same process. A system, dataset or level that
    is gone, and test lines that changed without a reason in FILE, fail, too.
    Latency in milliseconds is not judged: two builds may come from different
    machines.

    \b
    Example:
      netchu gate before/reports/laptop rebuilt/reports/laptop --margin 0.02

    \b
    Exit codes:
      0  nothing is worse
      1  something is
      2  the reports cannot be compared
    """
    exit_on_closed_pipe()
    from netchu.evaluation.gate import find_regressions

    faults = find_regressions(before, after, new_lines, margin)
    for fault in faults:
        print(f"netchu: {fault}", file=sys.stderr)
    if not faults:
        print("no system is worse")
    raise SystemExit(1 if faults else 0)
