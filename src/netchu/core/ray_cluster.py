"""The one way to a Ray cluster."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from typing import Any

from netchu.core.errors import NetchuError, needs_extra

CONNECT_SECONDS = 10
"""Time for a Ray cluster to answer."""

_OF_THIS_MACHINE = ("", "auto", "local")
"""Addresses without a host, as Ray defines them."""


def connect_to_ray(executor: str, address: str, remedy: str) -> Any:
    """Connect to a Ray cluster; fail at once where Ray itself would try for minutes.

    Ray sends no usage statistics, prints no log and no output of workers, and has no dashboard,
    whose start takes longer than Ray waits for it on a busy machine. SIGTERM is handled as before.

    Args:
        executor: the setting that asks for Ray; the beginning of an error without it.
        address: host:port of a cluster; empty takes that in RAY_ADDRESS, else one that runs on this
            machine, else starts one.
        remedy: how the user names another cluster, or none; the end of an error.

    Returns:
        The module `ray`. Call its `shutdown` to disconnect, and to end a cluster that was started.

    Raises:
        NetchuError: Ray is not installed, or the cluster does not answer.
    """
    # The last one: a thread of Ray that outlives `shutdown` must not connect again.
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_ENABLE_AUTO_CONNECT": "0",
    }
    with needs_extra("cluster", executor):
        import ray
    logging.getLogger("ray").setLevel(logging.FATAL)
    address = address or os.environ.get("RAY_ADDRESS", "")
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        if address not in _OF_THIS_MACHINE:
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        ray.init(
            address or None,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.FATAL,
        )
    except Exception as error:  # Ray raises just that where it does not start in time
        raise NetchuError(
            f"no Ray cluster answers at {address or 'this machine'} ({error}); {remedy}"
        ) from None
    finally:
        if terminate is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminate)  # Ray's would exit with another code
    return ray
