"""The command `netchu repro`."""

from __future__ import annotations

from typing import Annotated

import typer

from netchu.core.errors import needs_extra


@needs_extra("train", "the pipeline")
def repro_command(
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=0,
            help="Systems that are trained at once; 0 takes as many as there are cores for.",
        ),
    ] = 0,
) -> None:
    """Rebuild what is out of date, with several systems trained at once.

    Gives what dvc repro gives, in less time where compute.threads is less than the number of cores.
    Evaluations run one after the other, since they are timed. Needs the extra:
    pip install 'netchu[train]'

    \b
    Examples:
      netchu repro
      netchu profile real && netchu repro
      netchu repro --jobs 1          # one stage at a time, as dvc repro

    \b
    Exit codes:
      0  everything is up to date
      2  a stage failed and said why
    """
    from netchu.core.params import load_params
    from netchu.pipeline.rebuild import default_jobs, rebuild

    params = load_params()
    rebuild(params, jobs or default_jobs(params))
