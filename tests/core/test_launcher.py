"""Which command starts the processes of a training, and how a stage ends with them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from netchu.core.errors import NetchuError
from netchu.core.launcher import launch, launcher
from netchu.core.params import TrainerParams
from netchu.core.runtime import is_main_process

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in (*RANKS, "NETCHU_LAUNCHER", "NETCHU_LAUNCHED"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", RANKS)
def test_only_the_first_process_is_the_main_one(monkeypatch, name):
    assert is_main_process()
    monkeypatch.setenv(name, "0")
    assert is_main_process()
    monkeypatch.setenv(name, "5")
    assert not is_main_process()


def test_one_process_needs_no_launcher():
    assert launcher(TrainerParams()) == []


def test_several_devices_are_started_by_torchrun():
    command = launcher(TrainerParams(devices=4, strategy="ddp"))
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert command[-1] == "--nproc-per-node=4"


def test_the_launcher_of_the_environment_comes_first(monkeypatch):
    monkeypatch.setenv("NETCHU_LAUNCHER", "srun --job-name 'my training' python")
    expected = ["srun", "--job-name", "my training", "python"]
    for trainer in (TrainerParams(), TrainerParams(devices=4), TrainerParams(num_nodes=2)):
        assert launcher(trainer) == expected


def test_a_launcher_with_an_open_quote_is_an_error(monkeypatch):
    monkeypatch.setenv("NETCHU_LAUNCHER", "srun 'python")
    with pytest.raises(NetchuError, match=r"NETCHU_LAUNCHER is no command .*quotation"):
        launcher(TrainerParams())


def test_launched_processes_do_not_launch_again(monkeypatch):
    monkeypatch.setenv("NETCHU_LAUNCHER", "srun python")
    monkeypatch.setenv("NETCHU_LAUNCHED", "1")
    assert launcher(TrainerParams(devices=4)) == []


def test_several_nodes_need_a_launcher():
    with pytest.raises(NetchuError, match=r"num_nodes: 2 .* NETCHU_LAUNCHER"):
        launcher(TrainerParams(num_nodes=2))


def test_the_script_runs_with_its_arguments_and_knows_that_it_was_launched(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\nopen('ran', 'w').write(' '.join(sys.argv[1:]) + os.environ"
        "['NETCHU_LAUNCHED'] + os.environ.get('NETCHU_LAUNCHER', ''))"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETCHU_LAUNCHER", sys.executable)
    monkeypatch.setattr(sys, "argv", [str(script), "crnn_vgg"])
    launch([sys.executable])
    assert Path("ran").read_text() == "crnn_vgg1"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-launcher"], "no-such-launcher cannot be run"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with 3.*resumes"),
    ],
)
def test_a_launcher_that_fails_is_one_line(command, message):
    with pytest.raises(NetchuError, match=message):
        launch(command)


def test_sigterm_ends_what_was_launched(tmp_path):
    (tmp_path / "waiting.py").write_text("import time; open('ready', 'w'); time.sleep(600)")
    stage = (
        "import sys; sys.argv = ['waiting.py']\n"
        "from netchu.core.errors import one_line_errors\n"
        "from netchu.core.launcher import launch\n"
        "with one_line_errors('stopped here'): launch([sys.executable])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", stage], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.05)
    (launched,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=60)
    assert (process.returncode, printed) == (143, "netchu: stopped here\n")
    assert not launched.is_running()
