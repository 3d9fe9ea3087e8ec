"""The command `netchu train`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netchu.core.errors import needs_extra

if TYPE_CHECKING:
    from netchu.release.fine_tuning import FineTuning

SHOWN_ROWS = 10
"""Left-out rows that are printed; all of them are in skipped.csv."""

FEW_LINES = 30
"""Below this number of held-out lines the CER is only rough."""


@needs_extra("train", "training")
def train_command(
    table: Annotated[
        Path,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="A table image,label[,writer] in UTF-8, a row for each image of one line.",
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder that the image paths are relative to.",
            show_default="the table's folder",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the new model; it must not exist yet.",
            show_default="the table's name and -model",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The model to start from.", show_default="the shipped model"
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(min=0.01, metavar="N", help="Time limit; few lines take less."),
    ] = 10.0,
) -> None:
    """Fine-tune the recogniser on lines of your own.

    Unknown characters are added to its alphabet. Some of the lines are held out
    to measure the CER before and after: those of some writers, if the table
    names ten writers or more. Generated lines show whether other handwriting is
    forgotten; only as much is learned as costs a point there at most. Needs the
    extra: pip install 'netchu[train]'

    \b
    Example:
      netchu train --csv my_lines.csv --out my_model
      netchu read --model my_model photo.jpg

    \b
    Exit codes:
      0  the new model is written
      2  nothing is written: training did not help, it made other handwriting worse,
         or something was wrong
    """
    from netchu.core.params import ComputeParams
    from netchu.core.runtime import set_compute_environment

    set_compute_environment(ComputeParams(threads=os.cpu_count() or 1, isa="native"))
    from netchu.release.fine_tuning import fine_tune

    out = out or Path(f"{table.stem}-model")
    _print_summary(fine_tune(table, out, images=images, model=model, minutes=minutes), out)


def _print_summary(done: FineTuning, out: Path) -> None:
    for row in done.skipped[:SHOWN_ROWS]:
        print(f"left out: row {row.id.removeprefix('csv-').lstrip('0')}: {row.reason}",
              file=sys.stderr)  # fmt: skip
    if len(done.skipped) > SHOWN_ROWS:
        print(f"left out: {len(done.skipped)} in all, see {out / 'skipped.csv'}", file=sys.stderr)
    counts = done.lines
    print(f"{counts['train']} lines for training, {counts['val']} for choosing the epoch")
    if done.letters:
        print(f"new characters: {' '.join(done.letters)}")
    print(f"CER on {counts['test']} held-out lines: {_cer(done.before)} before, "
          f"{_cer(done.after)} after")  # fmt: skip
    print(f"CER on {done.general_after['lines']} generated lines, which stand for other hands: "
          f"{_cer(done.general_before)} before, {_cer(done.general_after)} after")  # fmt: skip
    if done.forgets:
        print("other hands are read worse by more than a point: use the model that it started from "
              "for them, or add lines by other writers", file=sys.stderr)  # fmt: skip
    if done.after["cer"] >= done.before["cer"]:
        print("the held-out lines do not confirm the gain: compare both models on other lines",
              file=sys.stderr)  # fmt: skip
    if counts["test"] < FEW_LINES:
        print(f"fewer than {FEW_LINES} held-out lines: the CER is only rough", file=sys.stderr)
    print(f"use it with: netchu read --model {shlex.quote(str(out))} PATH...")


def _cer(rates: dict[str, float | int]) -> str:
    cer, low, high = (100 * rates[name] for name in ("cer", "cer_low", "cer_high"))
    return f"{cer:.1f} % ({low:.1f}–{high:.1f})"
