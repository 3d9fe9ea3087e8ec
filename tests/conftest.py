"""One thread before torch loads, and fixtures of drawn lines that every test may use.

Torch is imported only where it is installed: the tests of `make pythons` run without it.
"""

import os
import signal
from importlib.util import find_spec

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
# Read when Ray is imported, as some tests do before the executor sets it.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

import pytest
from hypothesis import settings

if find_spec("torch"):
    import torch

    torch.set_num_threads(1)
    # Exports by torch.export make torch believe that there is a GPU. If autograd runs for the first
    # time after that, it starts threads for it, and forked processes cannot train any more.
    torch.ones(1, requires_grad=True).backward()

# On a busy machine a single example may take any time.
settings.register_profile("netchu", deadline=None)
settings.load_profile("netchu")


@pytest.fixture(autouse=True)
def _closed_pipes_are_errors():
    """Ignore SIGPIPE again after `netchu read` in this process: it would end the tests."""
    yield
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


@pytest.fixture
def drawn():
    """A table of 16 train and 6 val lines by two hands, words and lines."""
    import small_project

    lines = small_project.drawn_lines("train", 16) + small_project.drawn_lines("val", 6)
    return small_project.as_table(lines)


@pytest.fixture
def project_folder(tmp_path, monkeypatch):
    """An empty working directory for what a stage writes."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
