"""Stages that are killed, stopped, started twice and given a full disk at many moments."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

import small_project
from compositions import ROOT
from netchu.core.files import hash_folder
from netchu.core.paths import CHECKPOINTS
from netchu.data.line_table import write_table
from small_project import MODEL, PHASE, drawn_lines

pytestmark = pytest.mark.slow

LONG = PHASE | {"epochs": 6, "steps_per_epoch": 6, "batch_size": 4}
OUT = Path("models/tiny/netchu_small/pretrain")
KILLS = 8


@pytest.fixture
def attacked(project_folder, monkeypatch):
    """Prepare a training; return the hash of its model and the seconds that it took undisturbed."""
    system = {"model": MODEL, "pretrain": small_project.numbered(LONG), "finetune": {}}
    params = small_project.params(systems={"netchu_small": system})
    content = yaml.safe_dump(json.loads(json.dumps(asdict(params))))
    Path("params.yaml").write_text(content, encoding="utf-8")
    write_table([*drawn_lines("train"), *drawn_lines("val")], params.lines / "drawn")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody answers
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    begin = time.monotonic()
    assert ended(start())[0] == 0
    seconds = time.monotonic() - begin
    whole = hash_folder(OUT)
    shutil.rmtree("models")
    return whole, seconds


def interruptible():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start():
    script = str(ROOT / "stages" / "pretrain.py")
    return subprocess.Popen(
        [sys.executable, script, "netchu_small"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=interruptible,
    )  # fmt: skip


def ended(process):
    """Return the exit code and the lines of ours on stderr; a traceback is an error."""
    told = process.communicate()[1]
    assert "Traceback" not in told, told
    lines = [line for line in told.splitlines() if line.startswith("netchu: ")]
    return process.returncode, [line for line in lines if "is not tracked" not in line]


def test_kills_at_random_moments_cost_epochs_and_change_no_byte(attacked):
    whole, seconds = attacked
    rng = random.Random(0)
    for _ in range(KILLS):
        process = start()
        time.sleep(rng.uniform(0.4, 1.0) * seconds)
        process.kill()
        process.communicate()
        for last in CHECKPOINTS.rglob("last.ckpt"):
            if rng.random() < 0.3:
                os.truncate(last, rng.randrange(last.stat().st_size))
        if OUT.exists():
            break
    assert ended(start())[0] == 0
    assert hash_folder(OUT) == whole
    assert not list(Path("models").rglob("*.part"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_at_any_moment_is_one_line(attacked, number, code):
    whole, seconds = attacked
    for share in (0.3, 0.6, 0.75, 0.9):
        process = start()
        time.sleep(share * seconds)
        process.send_signal(number)
        assert ended(process) in (
            (code, ["netchu: stopped; the next run resumes from the last checkpoint"]),
            (0, []),  # it was faster
            (-number, []),  # Python had not begun with the stage; a shell calls that 143 and 130
        )
        assert not list(Path().rglob("*.part"))
    assert ended(start())[0] == 0
    assert hash_folder(OUT) == whole


def test_two_runs_at_once_are_one_run_and_one_line(attacked):
    whole, seconds = attacked
    first = start()
    time.sleep(0.4 * seconds)
    code, told = ended(start())
    assert (code, len(told)) == (2, 1)
    assert "another process is running the stage tiny pretrain@netchu_small" in told[0]
    assert ended(first)[0] == 0
    assert hash_folder(OUT) == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
@pytest.mark.parametrize("free", [20_000, 150_000, 400_000])
def test_a_full_disk_is_one_line_and_the_next_run_goes_on(attacked, tmp_path, free):
    whole, _ = attacked
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={free // 1000}k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted")
    try:
        shutil.rmtree(CHECKPOINTS)  # the locks of the first run
        CHECKPOINTS.symlink_to(disk)
        code, told = ended(start())
        assert code in (0, 2)
        if code:
            (line,) = told
            assert line.endswith("; free some space")
            assert not OUT.exists()
        assert not list(disk.rglob("*.part"))
    finally:
        CHECKPOINTS.unlink()
        subprocess.run(["umount", str(disk)], check=True)
    assert ended(start())[0] == 0
    assert hash_folder(OUT) == whole
