"""What every stage does when it is started twice, stopped, or cannot write."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from netchu.core.errors import NetchuError
from netchu.core.stage_script import LOCKS, stage_lock

PARAMS = {
    "profile": "tiny", "seed": 1, "compute": {}, "trainer": {}, "sources": {}, "synthetic": {},
    "datasets": {}, "systems": {}, "evaluate": {"datasets": []},
}  # fmt: skip

STAGE = '''
"""A stage that waits."""
import sys, time
from pathlib import Path
from netchu.core.files import new_file, new_folder
from netchu.core.stage_script import run_stage_for

def wait(params, key):
    with new_folder(Path("out")) as folder, new_file(folder / "file") as file:
        file.write_bytes(bytes(1000))
        print("waiting", flush=True)
        time.sleep(60)

def write(params, key):
    with new_folder(Path("out")) as folder, new_file(folder / "file") as file:
        file.write_bytes(bytes(1_000_000))

if __name__ == "__main__":
    work = {"wait": wait, "write": write}[sys.argv[1]]
    run_stage_for(__doc__, "key", "what it does", work)
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    Path("stage.py").write_text(STAGE)
    return tmp_path


def start(key="wait", **options):
    command = [sys.executable, "stage.py", key]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def interruptible():
    """As in a shell: one that runs the tests in the background has them ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_stage_says_so_and_leaves_nothing(project, number, code):
    with start(preexec_fn=interruptible) as stage:
        assert stage.stdout.readline() == "waiting\n"
        stage.send_signal(number)
        told = stage.communicate(timeout=30)[1]
    assert stage.returncode == code
    assert told == "netchu: stopped\n"
    assert sorted(path.name for path in project.iterdir()) == [
        ".checkpoints", "params.yaml", "stage.py",
    ]  # fmt: skip
    assert list(LOCKS.iterdir()) == []


def test_a_second_run_of_a_stage_ends_with_one_line(project):
    with start() as first:
        assert first.stdout.readline() == "waiting\n"
        second = start()
        told = second.communicate(timeout=30)[1]
        assert second.returncode == 2
        task = "running the stage tiny stage@wait"
        assert told == f"netchu: another process is {task}; wait for it, or stop it\n"
        assert Path("out.part").is_dir()  # the first run goes on
        first.kill()


def test_another_key_of_the_stage_may_run_at_the_same_time(project):
    with stage_lock("stage@wait", "tiny"), start("write") as other:
        assert other.communicate(timeout=30)[1] == ""
    assert other.returncode == 0


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_disk_that_takes_no_more_is_one_line(project):
    with start("write", preexec_fn=limit_files) as stage:
        told = stage.communicate(timeout=30)[1]
    assert stage.returncode == 2
    assert told.startswith("netchu: out.part/file: File too large; raise the limit")
    assert told.count("\n") == 1
    assert not Path("out").exists()
    assert not Path("out.part").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_must_not_be_written_is_one_line(project):
    (project / "out.part").mkdir()
    project.chmod(0o555)
    try:
        with start("write") as stage:
            told = stage.communicate(timeout=30)[1]
    finally:
        project.chmod(0o755)
    assert stage.returncode == 2
    assert told.count("\n") == 1
    assert "Permission denied; correct its permissions" in told


def test_a_stage_of_two_processes_locks_once(project, monkeypatch):
    environment = os.environ | {"LOCAL_RANK": "1"}
    with stage_lock("stage@write", "tiny"), start("write", env=environment) as other:
        assert other.communicate(timeout=30)[1] == ""
    assert other.returncode == 0


def test_a_stage_sweeps_what_a_killed_one_left(project):
    folder = Path("models/tiny/write")
    folder.mkdir(parents=True)
    old, new = folder / "cost.json.1.part", folder / "cost.json.2.part"
    for path in (old, new):
        path.touch()
    os.utime(old, times=(time.time() - 7200,) * 2)
    with start("write") as stage:
        stage.communicate(timeout=30)
    assert stage.returncode == 0
    assert [path.name for path in folder.iterdir()] == [new.name]


def test_a_lock_names_its_stage(project):
    with (
        stage_lock("code"),
        pytest.raises(NetchuError, match="running the stage code; wait"),
        stage_lock("code"),
    ):
        pass
