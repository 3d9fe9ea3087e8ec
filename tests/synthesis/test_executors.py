"""Whoever draws the shards, the files are the same, and no one's death is a hang or half a file."""

import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import astuple, replace
from pathlib import Path

import cheap_studio
import pytest
from cheap_studio import CheapStudio, expected, shard_files

from netchu.core.errors import NetchuError
from netchu.core.params import SynthesisParams
from netchu.data import line_table as lines_module
from netchu.data.line_table import read_notes, read_table
from netchu.synthesis.executors import Shard, draw_shard, draw_shards

TESTS = Path(cheap_studio.__file__).parent
SHARDS = [Shard(number, 20 * number, 20 * number + 20) for number in range(6)]


def by(workers=1, executor="local", address=""):
    return SynthesisParams(executor, workers, address)


@pytest.fixture
def alone(tmp_path):
    """The shards as one process draws them."""
    folder = tmp_path / "alone"
    folder.mkdir()
    assert list(draw_shards(CheapStudio(), SHARDS, folder, by(1))) == SHARDS
    return shard_files(folder)


def test_a_shard_holds_its_lines_in_order_and_notes_the_rest(tmp_path):
    draw_shard(CheapStudio(), Shard(0, 0, 30), tmp_path)
    lines, skipped, ways = expected(30)
    assert [astuple(line) for line in lines] == list(
        read_table(tmp_path).itertuples(index=False, name=None)
    )
    notes = read_notes(tmp_path / "00000.parquet")
    assert notes == {"skipped": [list(astuple(line)) for line in skipped], "ways": ways}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("workers", "number"), [(2, 6), (9, 3)])
def test_processes_write_the_same_bytes(tmp_path, alone, workers, number):
    folder = tmp_path / "shared"
    folder.mkdir()
    shards = SHARDS[:number]
    studio = CheapStudio(diary=str(tmp_path))
    drawn = list(draw_shards(studio, shards, folder, by(workers)))
    assert sorted(drawn, key=lambda shard: shard.number) == shards
    assert shard_files(folder) == {shard.name: alone[shard.name] for shard in shards}
    signed = {path.name for path in tmp_path.glob("worker-*")}
    assert 1 < len(signed) <= min(workers, number)
    assert f"worker-{os.getpid()}" not in signed
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("trouble", "told"),
    [("refuse", "line 70 is refused"), ("die", r"drew lines 60 to 79 died .* run again")],
)
def test_trouble_of_a_process_is_one_line_and_finished_shards_stay(tmp_path, alone, trouble, told):
    folder = tmp_path / "shared"
    folder.mkdir()
    studio = CheapStudio(at=70, trouble=trouble)
    drawn = []
    with pytest.raises(NetchuError, match=told) as caught:
        drawn.extend(draw_shards(studio, SHARDS, folder, by(2)))
    assert "\n" not in str(caught.value)
    assert shard_files(folder).items() <= alone.items()
    assert len(shard_files(folder)) >= 2
    assert "00003.parquet" not in shard_files(folder)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_leaves_no_part(tmp_path, monkeypatch, alone, code):
    flushed = []

    def fsync(file):
        flushed.append(file)
        if len(flushed) == 3:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lines_module.os, "fsync", fsync)
    folder = tmp_path / "full"
    folder.mkdir()
    with pytest.raises(NetchuError, match=r"no space is left for .*full; make some") as caught:
        list(draw_shards(CheapStudio(), SHARDS, folder, by(1)))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == ["00000.parquet", "00001.parquet"]
    assert shard_files(folder).items() <= alone.items()


def test_other_trouble_of_a_disk_is_not_taken_for_a_full_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        draw_shard(CheapStudio(), SHARDS[0], tmp_path / "nowhere")


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_nothing_to_draw_starts_nothing(tmp_path, executor):
    assert list(draw_shards(CheapStudio(), [], tmp_path, by(2, executor))) == []


def test_no_workers_is_one_line(tmp_path):
    with pytest.raises(NetchuError, match=r"synthesis\.workers is 0; set it to 1 or more"):
        list(draw_shards(CheapStudio(), SHARDS, tmp_path, by(0)))


def test_without_ray_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NetchuError, match=r"install netchu\[cluster\], or set it to local"):
        list(draw_shards(CheapStudio(), SHARDS, tmp_path, by(2, "ray")))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere"])
def test_a_cluster_that_does_not_answer_is_one_line_at_once(tmp_path, address):
    pytest.importorskip("ray.data")
    with pytest.raises(NetchuError, match=f"no Ray cluster answers at {address} .*; set") as caught:
        list(draw_shards(CheapStudio(), SHARDS, tmp_path, by(2, "ray", address)))
    assert "\n" not in str(caught.value)


@pytest.fixture
def cluster(monkeypatch):
    """A Ray cluster of two nodes on this machine; its address."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


def kill_one_when_two_work(diary, killed):
    """Wait until two workers signed the diary, then kill the later one."""
    deadline = time.monotonic() + 50
    while time.monotonic() < deadline:
        signed = sorted(diary.glob("worker-*"), key=lambda path: path.stat().st_ctime_ns)
        if len(signed) == 2:
            pid = int(signed[1].name.removeprefix("worker-"))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            return
        time.sleep(0.02)


@pytest.mark.slow
def test_a_ray_cluster_writes_the_same_bytes_though_a_worker_is_killed(
    tmp_path, alone, cluster, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shared"
    folder.mkdir()
    killed = []
    killer = threading.Thread(target=kill_one_when_two_work, args=(tmp_path, killed))
    killer.start()
    studio = CheapStudio(diary=str(tmp_path), seconds=0.02)
    drawn = list(draw_shards(studio, SHARDS, folder, by(2, "ray", cluster)))
    killer.join()
    assert len(killed) == 1
    assert sorted(drawn, key=lambda shard: shard.number) == SHARDS
    assert shard_files(folder) == alone
    refusing = replace(studio, diary="", at=70)
    with pytest.raises(NetchuError, match="line 70 is refused"):
        list(draw_shards(refusing, SHARDS, folder, by(2, "ray", cluster)))
