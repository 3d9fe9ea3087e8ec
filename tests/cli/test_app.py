"""What all commands have in common."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from netchu.cli import app
from netchu.core.errors import NetchuError

COMMANDS = [[name] for name in app.COMMANDS] + [["bundle", name] for name in app.BUNDLE_COMMANDS]


def run(*arguments):
    return CliRunner(env={"NO_COLOR": "1", "COLUMNS": "100"}).invoke(app.app, [*arguments])


@pytest.mark.parametrize(
    "command", [["-m", "netchu"], ["-c", "from netchu.__main__ import main; main()"]]
)
def test_the_version_is_printed_by_the_module_too(command):
    done = subprocess.run(
        [sys.executable, *command, "--version"], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == (run("--version").stdout, "")
    assert done.stdout.startswith("netchu 0.")


def test_help_lists_every_command():
    shown = run("--help").stdout
    assert all(f"\n  {name} " in shown for name in [*app.COMMANDS, "bundle"])
    assert "..." not in shown.partition("Commands:")[2]  # no summary is cut


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_a_command_shows_examples_and_exit_codes(command):
    shown = run(*command, "--help").stdout
    assert "\n  Exit codes:\n    " in shown
    example = f"\n    netchu {' '.join(command)}"
    assert example in (run("bundle", "--help").stdout if command[0] == "bundle" else shown)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["raed", "1.png"], "Did you mean 'read'"),
        (["train"], "--csv"),
        (["compare", "a"], "Missing argument"),
        (["verify", "a", "b", "--tolerance", "-1"], "--tolerance"),
        (["bundle", "pack"], "Missing argument"),
    ],
)
def test_a_wrong_command_exits_with_2_and_names_what_is_wrong(arguments, complaint):
    done = run(*arguments)
    assert complaint in done.stderr
    assert (done.stdout, done.exit_code) == ("", 2)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (NetchuError("x is\nbroken"), 2, "netchu: x is broken\n"),
        (KeyboardInterrupt(), 130, "netchu: stopped\n"),
    ],
)
def test_an_error_of_a_command_is_one_line(monkeypatch, error, code, message):
    def fail(*_):
        raise error

    monkeypatch.setattr("netchu.evaluation.reproduction.check_reproduction", fail)
    done = run("verify", "a", "b")
    assert (done.exit_code, done.stderr) == (code, message)


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("pandas", ["audit"], "an audit needs pandas"),
        ("mlflow", ["register"], "the model registry needs mlflow"),
        ("mlflow", ["promote"], "the model registry needs mlflow"),
        ("mlflow", ["ui"], "comparing runs needs mlflow"),
        ("yaml", ["compare", "one", "two"], "comparing systems of params.yaml needs yaml"),
        ("yaml", ["ship", "one"], "shipping a model needs yaml"),
        ("yaml", ["bundle", "unpack", "out"], "a bundle needs yaml"),
    ],
)
def test_a_missing_package_is_one_line_that_names_the_extra(module, arguments, message):
    code = f"import sys; sys.modules[{module!r}] = None\nfrom netchu.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert (
        done.stderr == f"netchu: {message}, which reading does not: pip install 'netchu[train]'\n"
    )
