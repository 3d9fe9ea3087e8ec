"""The command `netchu ui`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from netchu.core.errors import needs_extra


@needs_extra("train", "comparing runs")
def ui_command(
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port of MLflow's page.")
    ] = 5000,
) -> None:
    """Compare the runs of all systems in MLflow's page.

    Prints a link for each profile to the table of its systems, and one to that
    of all profiles, since MLflow opens on pages for chat models. Starts the
    page on this machine, unless MLFLOW_TRACKING_URI names a server. Needs the
    extra: pip install 'netchu[train]'

    \b
    Examples:
      netchu ui
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 netchu ui

    \b
    Exit codes:
      0  the links are printed
      2  the tracking server cannot be reached
    """
    from netchu.tracking import location, store
    from netchu.tracking.views import systems_link

    address = location.tracking_uri()
    remote = location.is_server()
    server = location.without_credentials(address) if remote else f"http://127.0.0.1:{port}"
    experiments = store.experiment_ids()
    for name, experiment in experiments.items():
        print(f"{name:<20} {systems_link(server, experiment)}", flush=True)
    if len(experiments) > 1:
        print(f"{'all profiles':<20} {systems_link(server, *experiments.values())}", flush=True)
    if not remote:
        # One person needs neither four workers nor processes for jobs, which start for a minute.
        os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        command = ["mlflow", "ui", "--backend-store-uri", address, "--port", str(port)]
        os.execv(sys.executable, [sys.executable, "-m", *command, "--workers", "1"])
