import sys
from pathlib import Path

import pytest

from netchu.evaluation.baselines import environments
from netchu.evaluation.baselines.base import Environment, UnavailableError

WANTED = Environment("fake", "3.11", ("fake==1.0", "other<2"))


@pytest.fixture
def commands(project_folder, monkeypatch):
    """The commands for uv, which are not run; only the folder is created."""
    asked = []

    def run(command, log, seconds, environ):
        asked.append([Path(command[0]).name, *command[1:]])
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    monkeypatch.setattr(environments, "run_program", run)
    return asked


def test_an_environment_is_created_once(commands):
    first = environments.environment_bin(WANTED)
    assert [command[:2] for command in commands] == [["uv", "venv"], ["uv", "pip"]]
    assert "3.11" in commands[0]
    assert commands[1][-2:] == ["fake==1.0", "other<2"]
    assert environments.environment_bin(WANTED) == first
    assert len(commands) == 2
    assert first == Path(".baselines/fake/environment/bin").resolve()


def test_other_packages_create_the_environment_again(commands):
    environments.environment_bin(WANTED)
    environments.environment_bin(Environment("fake", "3.11", ("fake==2.0",)))
    assert len(commands) == 4


def test_no_environment_is_that_of_netchu(commands):
    assert environments.environment_bin(None) == Path(sys.executable).parent
    assert commands == []


def test_a_failed_installation_gives_the_reason_and_leaves_nothing(project_folder, monkeypatch):
    def run(command, log, seconds, environ):
        Path(".baselines/fake/environment").mkdir(parents=True, exist_ok=True)
        if "pip" in command:
            raise UnavailableError("No solution found")

    monkeypatch.setattr(environments, "run_program", run)
    with pytest.raises(UnavailableError) as raised:
        environments.environment_bin(WANTED)
    assert str(raised.value) == (
        "fake==1.0 other<2 on Python 3.11 cannot be installed: No solution found"
    )
    assert not Path(".baselines/fake/environment").exists()


def test_without_uv_the_error_says_how_to_install_it(project_folder, monkeypatch):
    monkeypatch.setattr(environments.shutil, "which", lambda *_, **__: None)
    with pytest.raises(UnavailableError, match="pip install uv"):
        environments.environment_bin(WANTED)
