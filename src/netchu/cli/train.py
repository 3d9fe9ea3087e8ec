"""The command `netchu train`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netchu.cli.exits import exit_codes
from netchu.core.errors import NetchuError

if TYPE_CHECKING:
    from netchu.release.fine_tuning import Adaptation

LISTED = 10
"""Rows left out that `netchu train` names on the screen; all of them stand in skipped.csv."""

ROUGH = 30
"""Held-out lines below which a figure says little."""


def train(
    table: Annotated[
        Path,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="A table image,label[,writer] in UTF-8: a row for each image of one line.",
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the image paths begin.", show_default="the table's folder"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The new model; it must not be there yet.",
            show_default="the table's name and -model",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The model to start from.", show_default="netchu's own"),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(min=0.01, metavar="N", help="About so long at most; few lines take less."),
    ] = 10.0,
) -> None:
    """Train the recogniser further on lines of your own.

    Letters that it does not know become part of its alphabet. A part of the lines is held out, by
    writer where the table names ten writers or more, to tell how well the model read them before
    and reads them after. Needs more than reading does: pip install 'netchu[train]'

    \b
    Example:
      netchu train --csv my_lines.csv --out my_model
      netchu read --model my_model photo.jpg

    \b
    Exit codes:
      0  the new model is written
      2  nothing is written: training did not help, or something was wrong
    """
    with exit_codes():
        out = out or Path(f"{table.stem}-model")
        _tell(_adapt(table, out, images=images, model=model, minutes=minutes), out)


def _adapt(table: Path, out: Path, **wishes: Any) -> Adaptation:
    try:
        from netchu.core.params import ComputeParams
        from netchu.core.runtime import set_compute_environment

        set_compute_environment(ComputeParams(threads=os.cpu_count() or 1, isa="native"))
        from netchu.release.fine_tuning import adapt
    except ModuleNotFoundError as missing:
        if str(missing.name).startswith("netchu"):
            raise
        raise NetchuError(
            f"training needs {missing.name}, which reading does not: pip install 'netchu[train]'"
        ) from None
    return adapt(table, out, **wishes)


def _tell(done: Adaptation, out: Path) -> None:
    """Say what was learned from and what it brought."""
    for row in done.skipped[:LISTED]:
        print(f"left out: row {row.id.removeprefix('csv-').lstrip('0')}: {row.reason}",
              file=sys.stderr)  # fmt: skip
    if len(done.skipped) > LISTED:
        print(f"left out: {len(done.skipped)} in all, see {out / 'skipped.csv'}", file=sys.stderr)
    counts = done.lines
    print(f"{counts['train']} lines taught it, {counts['val']} chose when to stop")
    if done.letters:
        print(f"new letters: {' '.join(done.letters)}")
    print(f"CER on {counts['test']} lines held out: {_cer(done.before)} before, "
          f"{_cer(done.after)} after")  # fmt: skip
    if done.after["cer"] >= done.before["cer"]:
        print("these lines do not confirm the gain: try both models on others", file=sys.stderr)
    if counts["test"] < ROUGH:
        print(f"fewer than {ROUGH} lines held out: these figures are rough", file=sys.stderr)
    print(f"netchu read --model {out} PATH... reads with it")


def _cer(rates: dict[str, float | int]) -> str:
    cer, low, high = (100 * rates[name] for name in ("cer", "cer_low", "cer_high"))
    return f"{cer:.1f} % ({low:.1f}–{high:.1f})"
