"""The command `netchu register`."""

from __future__ import annotations

from typing import Annotated

import typer

from netchu.core.errors import needs_extra


@needs_extra("train", "the model registry")
def register_command(
    system: Annotated[
        str | None,
        typer.Argument(
            metavar="SYSTEM",
            help="An exported and evaluated system of params.yaml.",
            show_default="the one with the lowest CER",
        ),
    ] = None,
) -> None:
    """Register an exported system in MLflow as the challenger.

    Each profile has one registered model, netchu-PROFILE. The same weights with
    the same evaluation stay the same version. Needs the extra:
    pip install 'netchu[train]'

    \b
    Examples:
      netchu register
      netchu register netchu_small && netchu promote

    \b
    Exit codes:
      0  the system is registered
      2  it is not exported or evaluated, or MLflow cannot be reached
    """
    from netchu.core.params import load_params
    from netchu.tracking import registry, store

    params = load_params()
    system = system or registry.best_system(params)
    params.system(system)
    version = registry.register(params, system)
    name = store.experiment_name(params)
    print(f"{system} is version {version} of {name}, alias {registry.CHALLENGER}")
