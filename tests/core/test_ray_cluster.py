"""One way to a Ray cluster, for synthesis and reading."""

import os
import signal
import socket
import sys
from types import SimpleNamespace

import pytest

from netchu.core.errors import NetchuError
from netchu.core.ray_cluster import connect_to_ray

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ENABLE_AUTO_CONNECT": "0",
}


@pytest.fixture
def calls(monkeypatch):
    """What `ray.init` of a fake Ray is called with; it handles SIGTERM, as Ray does."""
    calls = []

    def init(address, **options):
        calls.append((address, options))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if address == "auto":
            raise ConnectionError("no cluster runs here")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    for name in ("RAY_ADDRESS", *ENVIRONMENT):
        monkeypatch.delenv(name, raising=False)
    return calls


@pytest.fixture
def address():
    """Where something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def connect(address=""):
    return connect_to_ray("--executor ray", address, "use --executor local")


def test_ray_is_silent_has_no_dashboard_and_leaves_sigterm_as_it_was(calls):
    handler = signal.getsignal(signal.SIGTERM)
    assert connect() is sys.modules["ray"]
    ((found, options),) = calls
    assert found is None
    assert not options["include_dashboard"]
    assert not options["log_to_driver"]
    assert signal.getsignal(signal.SIGTERM) == handler
    assert os.environ.items() >= ENVIRONMENT.items()


def test_a_named_address_comes_before_that_of_the_environment(calls, address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    connect()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    connect(address)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    connect()
    assert [found for found, _ in calls] == [address, address, "local"]


@pytest.mark.parametrize(
    ("wrong", "asked"),
    [("127.0.0.1:9", 0), ("nowhere", 0), ("ray://127.0.0.1:9", 0), ("", 0), ("auto", 1)],
)
def test_what_does_not_answer_is_one_line_that_names_it(calls, monkeypatch, wrong, asked):
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(NetchuError) as caught:
        connect(wrong)
    assert str(caught.value).startswith(f"no Ray cluster answers at {wrong or '127.0.0.1:9'} (")
    assert str(caught.value).endswith("); use --executor local")
    assert len(calls) == asked
    assert signal.getsignal(signal.SIGTERM) == handler


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NetchuError, match=r"--executor ray needs ray, .* 'netchu\[cluster\]'"):
        connect()
