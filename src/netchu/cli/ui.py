"""`make ui`: MLflow's page, and the links to where the systems of a profile stand side by side.

MLflow opens on its pages for chat models, which hide the runs; a link goes past them.
"""

from __future__ import annotations

import argparse
import os
import sys

from netchu.core.errors import one_line_errors
from netchu.tracking import store
from netchu.tracking.views import systems_link


def main() -> None:
    """Print the links; serve the page too, unless MLFLOW_TRACKING_URI names a server."""
    parser = argparse.ArgumentParser(prog="python -m netchu.cli.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="of this machine (default: 5000)")
    port = str(parser.parse_args().port)
    with one_line_errors():
        address = store.address()
        elsewhere = store.is_server()
        server = store.shown(address).rstrip("/") if elsewhere else f"http://127.0.0.1:{port}"
        for name, experiment in store.experiments().items():
            print(f"{name:<20} {systems_link(server, experiment)}", flush=True)
    if not elsewhere:
        command = ["mlflow", "ui", "--backend-store-uri", address, "--port", port]
        os.execv(sys.executable, [sys.executable, "-m", *command])


if __name__ == "__main__":
    main()
