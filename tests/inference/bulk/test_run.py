"""`netchu read --out NAME.parquet` with processes, killed and not, and on Ray."""

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import fsspec
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from bar_model import bars, write_bar_model
from netchu.cli import app
from netchu.imaging.images import encode
from netchu.inference.bulk.file_reader import FileReader, ReadOptions
from netchu.inference.bulk.worklist import MissingPackageError
from netchu.inference.reader import Reader
from netchu.serve.samples import SHIPPED_SAMPLES

MAIN = [sys.executable, "-m", "netchu", "read", "--out", "r.parquet"]

SCANS = 2_500
"""More than are in two shards."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a model that reads bars."""
    monkeypatch.chdir(tmp_path)
    write_bar_model(tmp_path / "model")
    return tmp_path


def read(*arguments):
    return CliRunner().invoke(app.app, ["read", "--out", "r.parquet", *arguments])


def rows(table):
    return pq.read_table(table).to_pylist()


def paths():
    """How often each file is in one of the tables."""
    errors = rows("r.errors.parquet") if Path("r.errors.parquet").exists() else []
    return Counter(row["path"] for row in [*rows("r.parquet"), *errors])


def test_two_processes_read_what_a_reader_reads_and_name_what_they_cannot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SHIPPED_SAMPLES, "scans")
    Path("scans/bad.jpg").write_bytes(b"no image")
    Path("scans/raw.dng").touch()
    done = read("--workers", "2", "--batch", "3", "scans")
    assert done.stdout == "r.parquet: 12 pages were read; 2 not, see r.errors.parquet\n"
    assert (done.exit_code, done.stderr) == (1, "")
    images = sorted(map(str, Path("scans").glob("*-*.jpg")))
    expected = dict(zip(images, Reader().read_many(images), strict=True))
    for row in rows("r.parquet"):
        photo = expected.pop(row["path"])
        assert row["text"] == photo.text
        assert row["lines"] == [line.text for line in photo.lines]
        assert row["boxes"] == [list(line.box) for line in photo.lines]
        assert row["confidence"] == pytest.approx(photo.confidence, abs=1e-6)
        assert len(row["model"]) == 64
    assert not expected
    errors = {row["path"]: row["error"] for row in rows("r.errors.parquet")}
    assert "not an image" in errors.pop("scans/bad.jpg")
    assert "not a format" in errors.pop("scans/raw.dng")
    assert not errors


def test_the_same_command_reads_only_what_is_new(home):
    for name in ("1", "2"):
        Path(f"{name}.png").write_bytes(encode(bars("ah")))
    options = ["--model", "model", "--line", "--workers", "1"]
    assert read(*options, "1.png").stdout == "r.parquet: 1 pages were read\n"
    shard = Path("r.parquet/000000.parquet")
    before = shard.stat().st_mtime_ns
    done = read(*options, "1.png", "2.png")
    assert (done.stdout, done.exit_code) == ("r.parquet: 2 pages were read\n", 0)
    assert shard.stat().st_mtime_ns == before
    assert paths() == {"1.png": 1, "2.png": 1}
    done = read("--model", "model", "--workers", "1", "2.png")
    assert "with other options; name another --out" in done.stderr
    assert done.exit_code == 2


def test_pages_and_bytes_at_addresses_have_rows(home):
    pages = [Image.fromarray(bars(text)) for text in ("ah", "bah")]
    pages[0].save("scan.tif", save_all=True, append_images=pages[1:])
    Path("bad.png").write_bytes(b"no image")
    reader = FileReader(ReadOptions(home / "model", line=True))
    address = f"file://{home}"
    read_rows = reader.read(
        [f"{address}/scan.tif", "scan.tif", "scan.tif#2", f"{address}/bad.png", f"{address}/no.png"]
    )
    found = [(row["path"], row["page"], row["text"]) for row in read_rows if "text" in row]
    assert found == [
        (f"{address}/scan.tif", 1, "ah"), (f"{address}/scan.tif", 2, "bah"),
        ("scan.tif", 1, "ah"), ("scan.tif", 2, "bah"), ("scan.tif#2", None, "bah"),
    ]  # fmt: skip
    missing, bad = sorted((row["error"] for row in read_rows if "error" in row), reverse=True)
    assert missing == f"{address}/no.png: there is nothing at this address; check it"
    assert bad.startswith(f"{address}/bad.png: not an image")


def test_a_missing_package_for_an_address_is_no_error_of_its_file(home):
    fsspec.register_implementation(
        "absent", "absent_package.FileSystem", clobber=True, errtxt="Install absent_package"
    )
    reader = FileReader(ReadOptions(home / "model"))
    with pytest.raises(MissingPackageError, match=r"absent://x.png: Install absent_package .*pip"):
        reader.read(["absent://x.png"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--executor", "ray", "x.png"], "a table needs a name: --out readings.parquet"),
        (["--format", "parquet", "x.png"], "a table needs a name"),
        (["--workers", "2", "x.png"], "--workers is for a table"),
        (["--json", "--out", "r.parquet", "x.png"], "exclude one another"),
        (["--out", "r.parquet", "x.png"], "'x.png' is no file and no folder"),
        (["--out", "r.parquet", "empty"], "empty: no image in there"),
        (["--out", "s3://bucket/r.parquet", "x.png"], "--out is a folder of this machine"),
        (["s3://bucket/x.png"], "s3://bucket/x.png: an address is read into a table; add --out"),
    ],
)
def test_wrong_commands_are_one_line_and_write_nothing(home, arguments, message):
    Path("empty").mkdir()
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app.app, ["read", *arguments])
    assert message in done.stderr
    assert done.exit_code == 2
    assert not Path("r.parquet").exists()


def test_without_pyarrow_the_extra_is_named(home, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("netchu.inference.bulk")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = read("model")
    assert "pip install 'netchu[parquet]'" in done.stderr
    assert done.exit_code == 2


def test_a_cluster_that_does_not_answer_is_one_line(home, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    Path("1.png").write_bytes(encode(bars("ah")))
    done = read("--executor", "ray", "--model", "model", "1.png")
    assert "no Ray cluster answers at 127.0.0.1:9" in done.stderr
    assert done.exit_code == 2


def draw_scans(number):
    """Write pages that take some milliseconds, and one bad file; return all paths."""
    Path("scans").mkdir()
    rng = np.random.default_rng(1)
    for index in range(number):
        text = "".join(rng.choice(list("abcdefgh"), 12)) + "h"
        Path(f"scans/{index:04}.png").write_bytes(encode(bars(text)))
    Path("scans/bad.png").write_bytes(b"no image")
    return Counter(map(str, Path("scans").iterdir()))


def start(*arguments):
    options = ["--model", "model", "--batch", "4", *arguments, "scans"]
    return subprocess.Popen(
        [*MAIN, *options], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for_shard(process):
    while not list(Path("r.parquet").glob("*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def children(pid):
    """Processes that a process has started, without the resource tracker of Python."""
    started = psutil.Process(pid).children()
    return [child for child in started if any("spawn_main" in word for word in child.cmdline())]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_is_resumed_and_reads_each_file_once(home, number):
    expected = draw_scans(SCANS)
    process = start("--workers", "2")
    wait_for_shard(process)
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(number)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert printed == "netchu: stopped; the same command reads what is left\n"
    first = paths()
    assert 0 < sum(first.values()) < len(expected)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    process = start("--workers", "2")
    printed, _ = process.communicate(timeout=300)
    assert printed == "r.parquet: 2500 pages were read; 1 not, see r.errors.parquet\n"
    assert paths() == expected


@pytest.mark.slow
def test_the_files_of_a_killed_process_are_read_once_by_others(home):
    expected = draw_scans(SCANS)
    process = start("--workers", "2")
    wait_for_shard(process)
    children(process.pid)[0].kill()
    printed, _ = process.communicate(timeout=300)
    assert printed == "r.parquet: 2500 pages were read; 1 not, see r.errors.parquet\n"
    assert paths() == expected


def kill_actor():
    """Kill one of the processes of this user that are actors of netchu."""
    first, _ = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any("ray::Worker" in word for word in process.info["cmdline"] or [])
    ]
    first.kill()


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["actor", "node"])
def test_a_cluster_that_loses_a_worker_or_a_machine_reads_each_file_once(home, cluster, lost):
    expected = draw_scans(SCANS)
    process = start("--executor", "ray", "--workers", "2")
    wait_for_shard(process)
    kill_actor() if lost == "actor" else cluster()
    printed, errors = process.communicate(timeout=300)
    assert printed == "r.parquet: 2500 pages were read; 1 not, see r.errors.parquet\n", errors
    assert paths() == expected
