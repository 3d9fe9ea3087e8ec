"""The command `netchu compare`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from netchu.cli.pipes import exit_on_closed_pipe
from netchu.core.errors import needs_extra

if TYPE_CHECKING:
    from netchu.evaluation.comparison import ComparisonRow, EvaluatedSystem

WIDTH = 120
"""Columns of the table where stdout is not a terminal."""

_OPERAND = (
    "A metrics.json or its folder, with :SYSTEM for one system or baseline of a report; or an "
    "evaluated system of params.yaml."
)


@needs_extra("train", "comparing systems of params.yaml")
def compare_command(
    a: Annotated[str, typer.Argument(metavar="A", help=_OPERAND)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Test whether system B reads worse than system A.

    Both have read the same lines. Of each dataset: CER, WER and SER of A and of
    B, the change with its 95 % interval, and the probability that B is better,
    by a paired bootstrap over writers. B is worse if the CER of a dataset, or of
    all lines, is higher with a probability above 97.5 %; over several datasets
    the 2.5 % are divided among them. The test covers chance in the choice of
    writers, not in training.

    Two reports are compared system by system, by name.

    \b
    Examples:
      netchu compare crnn_vgg crnn_residual
      netchu compare reports/laptop:crnn_vgg reports/laptop:netchu_small
      netchu compare reports/release:tesseract reports/release:netchu_small
      netchu compare committed/metrics.json rebuilt/metrics.json

    \b
    Exit codes:
      0  B is not significantly worse than A
      1  B is significantly worse than A
      2  they cannot be compared, or the command was wrong
    """
    exit_on_closed_pipe()
    from netchu.evaluation.comparison import (
        compare_systems,
        pair_systems,
        regressions,
        unshared_slices,
    )

    pairs = pair_systems(a, b)
    compared = [
        (before, after, compare_systems(before, after, pairs=len(pairs))) for before, after in pairs
    ]
    failed = any(regressions(rows) for _, _, rows in compared)
    if as_json:
        content = [
            {
                "before": before.name,
                "after": after.name,
                "rows": [asdict(row) for row in rows],
                "not_compared": unshared_slices(before, after),
            }
            for before, after, rows in compared
        ]
        print(json.dumps({"worse": failed, "pairs": content}, ensure_ascii=False, indent=2))
    else:
        for before, after, rows in compared:
            _print_table(before, after, rows)
            for name, slices in unshared_slices(before, after).items():
                print(f"read only by {name}: {', '.join(slices)}")
    raise SystemExit(1 if failed else 0)


def _print_table(
    before: EvaluatedSystem, after: EvaluatedSystem, rows: list[ComparisonRow]
) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from netchu.evaluation.metrics.registry import find_metric

    title = f"A: {before.name}\nB: {after.name}"
    table = Table(title=escape(title), title_justify="left")
    for heading in ("", "", "A %", "B %", "change", "95 % interval", "P(B better)"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    table.add_column("B is", no_wrap=True)
    last = ""
    for row in rows:
        table.add_row(
            escape(row.place) if row.place != last else "",
            find_metric(row.rate).title,
            *(f"{100 * value:.2f}" for value in (row.before, row.after)),
            f"{100 * row.change:+.2f}",
            f"{100 * row.low:+.2f} … {100 * row.high:+.2f}",
            f"{row.probability:.4f}",
            row.verdict,
        )
        last = row.place
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
