"""A store that takes no more: the stage goes on, and one line says what is not tracked."""

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

import tracked_project
from netchu.tracking import store
from netchu.tracking.live_run import tracked_training
from netchu.tracking.runs import Run
from tracked_project import SYSTEM


@pytest.fixture
def small_disk(tmp_path):
    """A file system with little space beside an empty database."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)])
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Write until nothing fits any more."""
    with (folder / "full").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def lines(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("netchu:")]


def test_a_full_disk_costs_one_line(small_disk, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(small_disk))
    params = tracked_project.params(profile="full")
    store.track_run(params, Run("before", {}))
    assert lines(capsys) == []
    fill(small_disk)
    store.track_run(params, Run("after", {}))
    (line,) = lines(capsys)
    assert line.startswith("netchu: after is not tracked, sqlite:///")
    with tracked_training(params, SYSTEM, "pretrain") as monitor:
        monitor.begin(small_disk.parent / "key")
    (line,) = lines(capsys)
    assert line.startswith(f"netchu: {SYSTEM} pretrain is not tracked, sqlite:///")


def test_a_full_disk_of_artifacts_is_named_and_the_metrics_are_there(
    small_disk, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_project.put_store(tmp_path))
    (tmp_path / "mlartifacts").symlink_to(small_disk)
    fill(small_disk)
    file = tmp_path / "some.csv"
    file.write_text("a\n" * 9000)
    run = Run("x", {}, metrics={"cer": 0.5}, files=[file], readings=pd.DataFrame({"text": ["a"]}))
    run_id = store.record_run(tracked_project.params(profile="full"), run)
    (line,) = lines(capsys)
    assert "x is tracked incompletely" in line
    assert "files: [Errno 28] No space left on device" in line
    assert store.open_client().get_run(run_id).data.metrics == {"cer": 0.5}


def test_a_store_that_cannot_be_written_costs_one_line(tmp_path, monkeypatch, capsys):
    uri = tracked_project.put_store(tmp_path)
    params = tracked_project.params(profile="sealed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store.track_run(params, Run("before", {}))
    database = Path(uri.removeprefix("sqlite:///"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///file:{database}?mode=ro&uri=true")
    store.track_run(params, Run("after", {}))
    (line,) = lines(capsys)
    assert "after is not tracked" in line
    assert "readonly database" in line or "read-only" in line
    assert os.access(database, os.R_OK)
    with tracked_training(params, SYSTEM, "pretrain") as monitor:
        monitor.begin(tmp_path / "key")
    (line,) = lines(capsys)
    assert f"{SYSTEM} pretrain is not tracked" in line
    assert "readonly database" in line or "read-only" in line
