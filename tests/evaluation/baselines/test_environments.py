import sys
from pathlib import Path

import pytest

from netchu.evaluation.baselines import environments
from netchu.evaluation.baselines.base import Environment, UnavailableError

WANTED = Environment("fake", "3.11", ("fake==1.0", "other<2"))


@pytest.fixture
def commands(project_folder, monkeypatch):
    """What uv is asked to do; nothing of it is done, but that the folder is made."""
    asked = []

    def run(command, log, seconds, environ):
        asked.append([Path(command[0]).name, *command[1:]])
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    monkeypatch.setattr(environments, "run", run)
    return asked


def test_an_environment_is_made_once(commands):
    first = environments.programs(WANTED)
    assert [command[:2] for command in commands] == [["uv", "venv"], ["uv", "pip"]]
    assert "3.11" in commands[0]
    assert commands[1][-2:] == ["fake==1.0", "other<2"]
    assert environments.programs(WANTED) == first
    assert len(commands) == 2
    assert first == Path(".baselines/fake/environment/bin").resolve()


def test_other_packages_make_it_anew(commands):
    environments.programs(WANTED)
    environments.programs(Environment("fake", "3.11", ("fake==2.0",)))
    assert len(commands) == 4


def test_a_baseline_without_packages_of_its_own_runs_here(commands):
    assert environments.programs(None) == Path(sys.executable).parent
    assert commands == []


def test_what_cannot_be_installed_says_why_and_leaves_nothing(project_folder, monkeypatch):
    def run(command, log, seconds, environ):
        Path(".baselines/fake/environment").mkdir(parents=True, exist_ok=True)
        if "pip" in command:
            raise UnavailableError("No solution found")

    monkeypatch.setattr(environments, "run", run)
    with pytest.raises(UnavailableError) as told:
        environments.programs(WANTED)
    assert str(told.value) == (
        "fake==1.0 other<2 on Python 3.11 cannot be installed: No solution found"
    )
    assert not Path(".baselines/fake/environment").exists()


def test_without_uv_the_way_out_is_named(project_folder, monkeypatch):
    monkeypatch.setattr(environments.shutil, "which", lambda *_, **__: None)
    with pytest.raises(UnavailableError, match="pip install uv"):
        environments.programs(WANTED)
