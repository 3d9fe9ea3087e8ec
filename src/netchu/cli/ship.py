"""The command `netchu ship`."""

from __future__ import annotations

from typing import Annotated

import typer

from netchu.core.errors import needs_extra


@needs_extra("train", "shipping a model")
def ship_command(
    system: Annotated[
        str,
        typer.Argument(metavar="SYSTEM", help="An exported and evaluated system of params.yaml."),
    ],
) -> None:
    """Make an exported system the model that this package ships.

    Replaces the files in src/netchu/shipped, with a model card made of the
    system's metrics. Run it in the repository, after dvc repro.

    \b
    Example:
      netchu ship netchu_small

    \b
    Exit codes:
      0  the package holds the new model
      2  nothing was changed: a stage has not run, or the model is too large
    """
    from netchu.core.params import load_params
    from netchu.release.shipped_weights import ship

    params = load_params()
    params.system(system)
    print(f"shipped in {ship(params, system)}")
