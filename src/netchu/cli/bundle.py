"""The commands `netchu bundle pack | train | unpack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netchu.core.errors import needs_extra

HELP = """Train a system on another machine, in runs of limited time.

A bundle is one file with the parameters, the training and validation lines and
the weights to start from. The other machine needs the source tree and the
packages that training imports: no MLflow, no DVC, no network.

\b
Example:
  netchu bundle pack netchu_small small.zip    # here
  netchu bundle train small.zip out            # there, until it says finished
  netchu bundle unpack out                     # here
"""


@needs_extra("train", "a bundle")
def pack_command(
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="A system of params.yaml.")],
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The zip file to write.")],
    megabytes: Annotated[
        float, typer.Option(metavar="N", help="Largest size; images are compressed to fit.")
    ] = 60.0,
) -> None:
    """Write all that the training of a system needs to one file.

    Test lines are left out. Images are no higher than the network reads them.

    \b
    Exit codes:
      0  the bundle is written
      2  lines or weights are missing, or do not fit
    """
    from netchu.core.params import load_params
    from netchu.training.bundle import pack

    header = pack(load_params(), system, bundle, megabytes)
    datasets = ", ".join(
        f"{name} {data['lines']} lines {data['bytes'] / 1e6:.1f} MB"
        for name, data in header["datasets"].items()
    )
    size = bundle.stat().st_size / 1e6
    print(
        f"{bundle}: {size:.1f} MB, {header['height']} px, quality {header['quality']}: {datasets}"
    )


@needs_extra("train", "training")
def train_command(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="From netchu bundle pack.")],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="Folder of the checkpoints, empty or of an earlier run."
        ),
    ],
    minutes: Annotated[
        float, typer.Option(metavar="N", help="Time limit, writing the checkpoints included.")
    ] = 9.0,
    accelerator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Instead of the profile's, e.g. gpu."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of the profile's, e.g. bf16-mixed.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Processes that load lines, not the profile's."),
    ] = None,
) -> None:
    """Train for some minutes and write the checkpoints to a folder.

    Run it again with the same arguments until it says that the stages are
    finished. Ctrl-C ends a run early and keeps its checkpoints.

    \b
    Exit codes:
      0  the checkpoints are written
      2  the bundle or the folder is damaged, or training failed
    """
    from netchu.training.timed_run import train_for_minutes

    changes = {"accelerator": accelerator, "precision": precision}
    trainer = {name: value for name, value in changes.items() if value}
    print(train_for_minutes(bundle, out, minutes, trainer, workers))


@needs_extra("train", "a bundle")
def unpack_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="From netchu bundle train.")],
) -> None:
    """Put the finished models into the folder models of the pipeline.

    \b
    Exit codes:
      0  the models are there
      2  training is not finished, or belongs to other parameters, lines or code
    """
    from netchu.training.checkpoint_archive import unpack

    for folder in unpack(out):
        print(f"{folder} is there")
