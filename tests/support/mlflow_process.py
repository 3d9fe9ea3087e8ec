"""`mlflow` in a process of its own: the tracking server, or a served model."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 250
"""Time limit for the start of a server on a busy machine."""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def mlflow_server(database, artifacts, log):
    """Run a tracking server until the block ends; yield its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    arguments = [
        "server", "--backend-store-uri", database, "--artifacts-destination", str(artifacts),
        "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    with mlflow_process(arguments, f"{address}/health", log):
        yield address


@contextmanager
def mlflow_process(arguments, health, log):
    """Run `mlflow` until the block ends, starting when the URL `health` answers."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            stdout=output, stderr=output, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(health):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.5)
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
