"""The command `netchu evaluate`: which of two systems reads better."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from netchu.cli.exits import exit_codes, exit_on_closed_pipe
from netchu.core.errors import NetchuError
from netchu.evaluation.comparison import Row, System, compare, pairs, unshared, worse

WIDTH = 120
"""Columns of the table where stdout is no terminal."""


def evaluate(
    compared: Annotated[
        tuple[str, str],
        typer.Option(
            "--compare",
            metavar="A B",
            help="Each a metrics.json or its folder (with :SYSTEM one of a report's systems or "
            "baselines), or a system of params.yaml. Two reports: every system with that of its name.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare what two systems read wrong on the same lines.

    Of each dataset: CER, WER and SER of A and of B, B's change with its 95 %
    interval, and the probability that B is the better one, by a paired
    bootstrap over writers. B is worse beyond noise where the CER of a dataset,
    or overall, is higher with a probability of more than 97.5 %; of several
    datasets together the 2.5 % are shared among them. Another seed's training
    is not part of this noise.

    \b
    Examples:
      netchu evaluate --compare crnn_vgg crnn_residual
      netchu evaluate --compare reports/laptop:crnn_vgg reports/laptop:netchu_small
      netchu evaluate --compare reports/release:tesseract reports/release:netchu_small
      netchu evaluate --compare committed/metrics.json rebuilt/metrics.json

    \b
    Exit codes:
      0  B is not worse than A beyond noise
      1  it is
      2  they cannot be compared, or the command was wrong
    """
    exit_on_closed_pipe()
    with exit_codes():
        found = _compare(*compared)
    failed = any(worse(rows) for _, _, rows in found)
    if as_json:
        told = [
            {
                "before": before.name,
                "after": after.name,
                "rows": [asdict(row) for row in rows],
                "not_compared": unshared(before, after),
            }
            for before, after, rows in found
        ]
        print(json.dumps({"worse": failed, "pairs": told}, ensure_ascii=False, indent=2))
    else:
        for before, after, rows in found:
            _show(before, after, rows)
    raise SystemExit(1 if failed else 0)


def _compare(before: str, after: str) -> list[tuple[System, System, list[Row]]]:
    try:
        paired = pairs(before, after)
    except ModuleNotFoundError as missing:
        raise NetchuError(
            f"finding a system in params.yaml needs {missing.name}: name its metrics.json, or "
            "pip install 'netchu[train]'"
        ) from None
    return [(a, b, compare(a, b, among=len(paired))) for a, b in paired]


def _show(before: System, after: System, rows: list[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    title = f"A: {before.name}\nB: {after.name}"
    table = Table(title=escape(title), title_justify="left")
    for heading in ("", "", "A %", "B %", "change", "95 % interval", "P(B better)"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    table.add_column("B is", no_wrap=True)
    last = ""
    for row in rows:
        table.add_row(
            escape(row.place) if row.place != last else "",
            row.rate.upper(),
            *(f"{100 * value:.2f}" for value in (row.before, row.after)),
            f"{100 * row.change:+.2f}",
            f"{100 * row.low:+.2f} … {100 * row.high:+.2f}",
            f"{row.probability:.4f}",
            row.verdict,
        )
        last = row.place
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)
    for name, places in unshared(before, after).items():
        console.print(f"read by {name} alone: {', '.join(places)}", markup=False)
