"""The command `netchu plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from netchu.core.errors import needs_extra


@needs_extra("train", "a plan")
def plan_command(
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Assume that missing data and models are as in dvc.lock.",
        ),
    ] = False,
) -> None:
    """List the stages that dvc repro would run, without running them.

    Like dvc repro --dry, but works in a clone without data, too. Needs the extra:
    pip install 'netchu[train]'

    \b
    Examples:
      netchu plan
      netchu profile gpu && netchu plan
      netchu plan --allow-missing    # what is stale in a fresh clone

    \b
    Exit codes:
      0  the stages are listed; there may be none
      1  DVC failed and says why
    """
    from netchu.pipeline.plan import dry_run

    raise SystemExit(dry_run("repro", *(["--allow-missing"] if allow_missing else [])))
