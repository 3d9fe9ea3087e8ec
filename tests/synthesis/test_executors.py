"""Every executor writes the same files, and a dead process is an error, not a hang."""

import errno
import multiprocessing
import os
import signal
import stat
import sys
import threading
import time
from dataclasses import astuple, replace
from pathlib import Path

import pytest

import cheap_generator
from cheap_generator import CheapGenerator, expected, shard_files
from netchu.core import files
from netchu.core.errors import NetchuError
from netchu.core.params import SynthesisParams
from netchu.data.line_table import read_shard_metadata, read_table
from netchu.synthesis.executors import Shard, generate_shard, generate_shards

TESTS = Path(cheap_generator.__file__).parent
SHARDS = [Shard(number, 20 * number, 20 * number + 20) for number in range(6)]


def executor_params(workers=1, executor="local", address=""):
    return SynthesisParams(executor, workers, address)


@pytest.fixture
def serial(tmp_path):
    """Return the shards as one process writes them."""
    folder = tmp_path / "serial"
    folder.mkdir()
    assert list(generate_shards(CheapGenerator(), SHARDS, folder, executor_params(1))) == SHARDS
    return shard_files(folder)


def test_a_shard_holds_its_lines_in_order_and_the_rest_in_its_metadata(tmp_path):
    generate_shard(CheapGenerator(), Shard(0, 0, 30), tmp_path)
    lines, skipped, word_sources = expected(30)
    assert [astuple(line) for line in lines] == list(
        read_table(tmp_path).itertuples(index=False, name=None)
    )
    notes = read_shard_metadata(tmp_path / "00000.parquet")
    assert notes == {"skipped": [list(astuple(line)) for line in skipped], "ways": word_sources}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("workers", "number"), [(2, 6), (9, 3)])
def test_several_processes_write_the_same_bytes(tmp_path, serial, workers, number):
    folder = tmp_path / "shared"
    folder.mkdir()
    shards = SHARDS[:number]
    generator = CheapGenerator(log_folder=str(tmp_path))
    finished = list(generate_shards(generator, shards, folder, executor_params(workers)))
    assert sorted(finished, key=lambda shard: shard.number) == shards
    assert shard_files(folder) == {shard.name: serial[shard.name] for shard in shards}
    logged = {path.name for path in tmp_path.glob("worker-*")}
    assert 1 < len(logged) <= min(workers, number)
    assert f"worker-{os.getpid()}" not in logged
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("error", "line 70 is refused"),
        ("kill_worker", r"generated lines 60 to 79 died .* run again"),
    ],
)
def test_failure_of_a_process_is_one_line_and_keeps_finished_shards(
    tmp_path, serial, failure, message
):
    folder = tmp_path / "shared"
    folder.mkdir()
    generator = CheapGenerator(fail_at=70, failure=failure)
    finished = []
    with pytest.raises(NetchuError, match=message) as caught:
        finished.extend(generate_shards(generator, SHARDS, folder, executor_params(2)))
    assert "\n" not in str(caught.value)
    assert shard_files(folder).items() <= serial.items()
    assert len(shard_files(folder)) >= 2
    assert "00003.parquet" not in shard_files(folder)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_leaves_no_partial_file(tmp_path, monkeypatch, serial, code):
    flushed = []

    def fsync(file):
        if stat.S_ISREG(os.fstat(file).st_mode):
            flushed.append(file)
        if len(flushed) == 3:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "fsync", fsync)
    folder = tmp_path / "full"
    folder.mkdir()
    with pytest.raises(NetchuError, match=r"no space left on the disk of .*full;") as caught:
        list(generate_shards(CheapGenerator(), SHARDS, folder, executor_params(1)))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == ["00000.parquet", "00001.parquet"]
    assert shard_files(folder).items() <= serial.items()


def test_other_errors_of_the_disk_are_raised_unchanged(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        generate_shard(CheapGenerator(), SHARDS[0], tmp_path / "file")


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_no_shards_start_no_process(tmp_path, executor):
    assert list(generate_shards(CheapGenerator(), [], tmp_path, executor_params(2, executor))) == []


def test_zero_workers_are_an_error(tmp_path):
    with pytest.raises(NetchuError, match=r"synthesis\.workers is 0; set it to 1 or more"):
        list(generate_shards(CheapGenerator(), SHARDS, tmp_path, executor_params(0)))


def test_the_error_without_ray_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        NetchuError, match=r"synthesis.executor: ray needs ray, .*netchu\[cluster\]"
    ):
        list(generate_shards(CheapGenerator(), SHARDS, tmp_path, executor_params(2, "ray")))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere"])
def test_a_cluster_that_does_not_answer_is_an_error_at_once(tmp_path, address):
    pytest.importorskip("ray.data")
    params = executor_params(2, "ray", address)
    with pytest.raises(NetchuError, match=f"no Ray cluster answers at {address} .*; set") as caught:
        list(generate_shards(CheapGenerator(), SHARDS, tmp_path, params))
    assert "\n" not in str(caught.value)


@pytest.fixture
def cluster(monkeypatch):
    """Start a Ray cluster of two nodes on this machine; return its address."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


def kill_second_worker(log_folder, killed):
    """Wait until two workers have left a file, then kill the later one."""
    deadline = time.monotonic() + 50
    while time.monotonic() < deadline:
        logged = sorted(log_folder.glob("worker-*"), key=lambda path: path.stat().st_ctime_ns)
        if len(logged) == 2:
            pid = int(logged[1].name.removeprefix("worker-"))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            return
        time.sleep(0.02)


@pytest.mark.slow
def test_a_ray_cluster_writes_the_same_bytes_after_a_worker_was_killed(
    tmp_path, serial, cluster, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shared"
    folder.mkdir()
    killed = []
    killer = threading.Thread(target=kill_second_worker, args=(tmp_path, killed))
    killer.start()
    generator = CheapGenerator(log_folder=str(tmp_path), seconds=0.02)
    finished = list(generate_shards(generator, SHARDS, folder, executor_params(2, "ray", cluster)))
    killer.join()
    assert len(killed) == 1
    assert sorted(finished, key=lambda shard: shard.number) == SHARDS
    assert shard_files(folder) == serial
    refusing = replace(generator, log_folder="", fail_at=70)
    with pytest.raises(NetchuError, match="line 70 is refused"):
        list(generate_shards(refusing, SHARDS, folder, executor_params(2, "ray", cluster)))
