"""A server in this process that reads bars."""

import pytest
from starlette.testclient import TestClient

from bar_model import write_bar_model
from netchu.serve import app
from netchu.serve.model_registry import open_shelf
from netchu.serve.settings import Settings


@pytest.fixture(scope="session")
def bars_folder(tmp_path_factory):
    return write_bar_model(tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="session")
def shelf(bars_folder):
    return open_shelf([f"bars={bars_folder}"])


@pytest.fixture
def client(shelf, monkeypatch):
    """`client(**settings)` asks a server that has the model `bars` besides the shipped one."""
    opened = []
    monkeypatch.setattr(app, "open_shelf", lambda wishes: shelf)  # loading takes a while

    def start(**settings):
        served = app.create_app(Settings(**settings))
        asking = TestClient(served, base_url="http://127.0.0.1", raise_server_exceptions=False)
        opened.append(asking.__enter__())
        return opened[-1]

    yield start
    for asking in opened:
        asking.__exit__(None, None, None)
