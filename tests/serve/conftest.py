"""A server in this process with the bar model; its tasks run in threads, not in processes."""

import pytest
from starlette.testclient import TestClient

from bar_model import write_bar_model
from netchu.serve import app
from netchu.serve.model_registry import load_models
from netchu.serve.settings import Settings


@pytest.fixture(scope="session")
def bars_folder(tmp_path_factory):
    return write_bar_model(tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="session")
def models(bars_folder):
    return load_models([f"bars={bars_folder}"])


class ThreadWorker:
    """Runs tasks in the thread that calls it."""

    def __init__(self, readers, *arguments):
        self.readers = readers

    def run(self, task, arguments, seconds, is_wanted):
        return task(self.readers, *arguments)

    def close(self):
        pass


@pytest.fixture
def client(models, monkeypatch):
    """`client(**settings)` is a client of a server with the shipped model and `bars`."""
    clients = []
    monkeypatch.setattr(app, "load_models", lambda arguments: models)  # loading is slow
    monkeypatch.setattr(app, "WorkerProcess", ThreadWorker)

    def start(**settings):
        application = app.create_app(Settings(**settings))
        test_client = TestClient(
            application, base_url="http://127.0.0.1", raise_server_exceptions=False
        )
        clients.append(test_client.__enter__())
        return clients[-1]

    yield start
    for test_client in clients:
        test_client.__exit__(None, None, None)
