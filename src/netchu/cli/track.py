"""The command `netchu track`."""

from __future__ import annotations

from typing import Annotated

import typer

from netchu.core.errors import needs_extra


@needs_extra("train", "recording runs")
def track_command(
    profile: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="A profile of conf/profile, instead of that of params.yaml."
        ),
    ] = "",
) -> None:
    """Record in MLflow what a profile's stages have written.

    For outputs that came from dvc pull, or that were made while no tracking
    server could be reached. Runs that are there already are not recorded again.
    Needs the extra: pip install 'netchu[train]'

    \b
    Examples:
      dvc pull && netchu track
      netchu track --profile real

    \b
    Exit codes:
      0  every stage that has outputs has a run
      2  the profile is unknown, or MLflow cannot be reached
    """
    from netchu.core.params import load_params
    from netchu.pipeline.profiles import compose_profile
    from netchu.tracking.profile_runs import record_profile
    from netchu.tracking.store import experiment_name

    params = compose_profile(profile) if profile else load_params()
    recorded = record_profile(params)
    print(
        f"{experiment_name(params)}: {len(recorded.new)} runs recorded, "
        f"{len(recorded.present)} there already"
    )
    if recorded.missing:
        print(f"without outputs: {', '.join(recorded.missing)}")
