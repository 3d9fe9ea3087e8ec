import os
import sys

import pytest
import tracked_project

from netchu.cli import ui
from netchu.tracking import store
from netchu.tracking.runs import Run


@pytest.fixture
def asked(project_folder, monkeypatch):
    """Run `python -m netchu.cli.ui`; the commands that it turns into."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(project_folder))
    commands = []
    monkeypatch.setattr(os, "execv", lambda program, command: commands.append(command))

    def ask(*arguments):
        monkeypatch.setattr(sys, "argv", ["ui", *arguments])
        ui.main()
        return commands

    return ask


def test_a_link_for_each_profile_and_the_page_at_its_port(asked, capsys):
    for profile in ("second", "first"):
        store.record(tracked_project.params(profile=profile), Run("x", {}))
    ((*_, flag, port),) = asked("--port", "5001")
    assert (flag, port) == ("--port", "5001")
    links = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in links] == ["netchu-first", "netchu-second"]
    assert [link.partition("/#/")[0] for _, link in links] == ["http://127.0.0.1:5001"] * 2
    assert links[0][1] != links[1][1]


def test_an_empty_store_has_a_page_and_no_link(asked, capsys):
    assert len(asked()) == 1
    assert capsys.readouterr().out == ""


def test_a_server_elsewhere_is_linked_to_and_not_started(asked, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@runs.example/")
    monkeypatch.setattr(store, "experiments", lambda: {"netchu-laptop": "7"})
    assert asked() == []
    link = "https://runs.example/#/experiments/7/runs?viewStateShareKey=systems"
    assert capsys.readouterr().out == f"netchu-laptop        {link}\n"


def test_a_server_that_is_down_is_one_line(asked, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(SystemExit) as left:
        asked()
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
