"""The synthesize stage: whole or not at all, resumed to the byte, in bounded memory."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from dataclasses import astuple
from pathlib import Path

import cheap_studio
import pyarrow as pa
import pytest
from cheap_studio import CheapStudio, expected, project
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.data.line_table import fingerprint, read_skipped, read_table
from netchu.synthesis import shards

TESTS = Path(cheap_studio.__file__).parent
OUT = Path("data/tiny/synthetic/cheap")
SCRATCH = Path(".checkpoints/tiny/synthetic/cheap")

# Dies in mid-run by a worker's hand; workers import this file too.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from netchu.synthesis import shards
from cheap_studio import CheapStudio, project

if __name__ == "__main__":
    shards.SHARD_LINES = 20
    shards.open_studio = lambda params, kind: CheapStudio(diary=".", at=100, trouble="orphan")
    shards.synthesize_table(project(workers=2), "cheap")
"""


@pytest.fixture
def draw(project_folder, monkeypatch):
    """Run the stage in an empty project with a cheap studio; return the table's folder."""
    monkeypatch.setattr(shards, "SHARD_LINES", 20)

    def run(studio=None, **changes):
        monkeypatch.setattr(shards, "open_studio", lambda params, kind: studio or CheapStudio())
        return shards.synthesize_table(project(**changes), "cheap")

    return run


def checkpoint():
    """The one folder of unfinished shards."""
    (folder,) = SCRATCH.iterdir()
    return folder


def inodes(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in folder.glob("*.parquet")}  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 70), size=st.integers(1, 40))
def test_every_line_number_is_in_the_table_or_among_the_skipped(tmp_path_factory, count, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        patch.setattr(shards, "SHARD_LINES", size)
        patch.setattr(shards, "open_studio", lambda params, kind: CheapStudio())
        folder = shards.synthesize_table(project(count), "cheap")
        lines, skipped, ways = expected(count)
        assert folder == OUT
        assert len(list(folder.glob("*.parquet"))) == -(-count // size)
        written = read_table(folder)
        assert [astuple(line) for line in lines] == list(written.itertuples(index=False, name=None))
        assert read_skipped(folder) == skipped
        assert json.loads((folder / "summary.json").read_text(encoding="utf-8")) == {
            "lines": len(lines), "skipped": Counter(line.reason for line in skipped), "ways": ways,
        }  # fmt: skip
        assert sorted(path.name for path in OUT.parent.iterdir()) == ["cheap"]
        assert not SCRATCH.exists()


def test_the_bytes_do_not_depend_on_the_number_of_processes(draw):
    one = fingerprint(draw(workers=1))
    assert fingerprint(draw(workers=2)) == one


def test_a_killed_run_goes_on_with_the_missing_shards(draw, project_folder):
    script = project_folder / "run.py"
    script.write_text(SCRIPT)
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    workers = [int(path.name.removeprefix("worker-")) for path in Path().glob("worker-*")]
    assert len(workers) == 2
    wait_until_gone(workers)
    assert not OUT.exists()
    kept = inodes(checkpoint())
    assert 3 <= len(kept) < 8
    resumed = draw()
    assert inodes(resumed).items() >= kept.items()
    whole = fingerprint(resumed)
    shutil.rmtree(resumed)
    assert fingerprint(draw()) == whole


def wait_until_gone(pids):
    """Workers whose master was killed must end by themselves."""
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_damaged_shard_is_drawn_anew_and_parts_are_swept_away(draw):
    with pytest.raises(NetchuError, match="line 100 is refused"):
        draw(CheapStudio(at=100))
    assert sorted(inodes(checkpoint())) == [f"{n:05d}.parquet" for n in range(5)]
    (checkpoint() / "00001.parquet").write_bytes(b"PAR1")
    (checkpoint() / "00006.parquet.0123.part").write_bytes(b"half")
    resumed = fingerprint(draw())
    assert fingerprint(draw()) == resumed


@pytest.mark.parametrize("change", ["seed", "parameter", "data", "code"])
def test_shards_that_depend_on_something_else_are_not_taken(draw, monkeypatch, change):
    with pytest.raises(NetchuError):
        draw(CheapStudio(at=100))
    old = checkpoint()
    if change == "data":
        Path("data/tiny/raw/fonts").mkdir(parents=True)
        Path("data/tiny/raw/fonts/a.ttf").write_bytes(b"other")
    if change == "code":
        monkeypatch.setattr(shards.fingerprints, "fingerprint", lambda entries: "other")
    changes = {"seed": {"seed": 8}, "parameter": {"distortion": 0.9}}.get(change, {})
    with pytest.raises(NetchuError):
        draw(CheapStudio(at=10), **changes)
    (new,) = set(SCRATCH.iterdir()) - {old}
    assert not list(new.iterdir())


def test_progress_counts_the_finished_shards(draw, monkeypatch):
    told = []

    class Bar(shards.Progress):
        def add_task(self, description, total, completed):
            told.append((total, completed))
            return super().add_task(description, total=total, completed=completed)

        def advance(self, task, advance):
            told.append(advance)
            super().advance(task, advance)

    with pytest.raises(NetchuError):
        draw(CheapStudio(at=100))
    monkeypatch.setattr(shards, "Progress", Bar)
    draw()
    assert told == [(150, 100), 20, 20, 10]


def test_a_second_run_on_the_same_table_says_so(draw, monkeypatch):
    refused = []

    def open_studio(params, kind):
        with pytest.raises(NetchuError, match=f"another run is filling {OUT}; wait") as caught:
            shards.synthesize_table(params, kind)
        refused.append(str(caught.value))
        return CheapStudio()

    alone = fingerprint(draw())
    monkeypatch.setattr(shards, "open_studio", open_studio)
    assert fingerprint(shards.synthesize_table(project(), "cheap")) == alone
    assert len(refused) == 1
    assert "\n" not in refused[0]


def test_a_disk_that_is_full_at_the_end_leaves_the_old_table_and_the_shards(draw, monkeypatch):
    def full(skipped, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    old = fingerprint(draw(count=10))
    with monkeypatch.context() as patch, pytest.raises(NetchuError, match="no space is left"):
        patch.setattr(shards, "write_skipped", full)
        draw()
    assert fingerprint(OUT) == old
    assert len(inodes(checkpoint())) == 8
    kept = inodes(checkpoint())
    assert inodes(draw()) == kept


def test_memory_does_not_grow_with_the_number_of_lines(draw):
    def peak(count):
        tracemalloc.start()
        draw(CheapStudio(size=20_000), count=count)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most, pa.default_memory_pool().max_memory()

    peak(40)  # what is loaded once
    few, many = peak(100), peak(1000)
    assert many[0] < 1.25 * few[0]
    assert many[1] < 1.25 * few[1]
