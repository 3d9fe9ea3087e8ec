"""The synthesize stage: all or nothing, resumed without changing a byte, in bounded memory."""

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

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cheap_generator
from cheap_generator import CheapGenerator, expected, project
from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder
from netchu.data.line_table import read_skipped, read_table
from netchu.synthesis import shards

TESTS = Path(cheap_generator.__file__).parent
OUT = Path("data/tiny/synthetic/cheap")
CHECKPOINTS = Path(".checkpoints/tiny/synthetic/cheap")

# A worker kills this process in the middle of the run; workers import this file too.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from netchu.synthesis import shards
from cheap_generator import CheapGenerator, project

if __name__ == "__main__":
    shards.SHARD_LINES = 20
    generator = CheapGenerator(log_folder=".", fail_at=100, failure="kill_parent")
    shards.make_line_generator = lambda params, name: generator
    shards.synthesize_table(project(workers=2), "cheap")
"""


@pytest.fixture
def synthesize(project_folder, monkeypatch):
    """Run the stage in an empty project with a cheap generator; return the table's folder."""
    monkeypatch.setattr(shards, "SHARD_LINES", 20)

    def run(generator=None, **changes):
        chosen = generator or CheapGenerator()
        monkeypatch.setattr(shards, "make_line_generator", lambda params, name: chosen)
        return shards.synthesize_table(project(**changes), "cheap")

    return run


def checkpoint():
    """Return the only folder of checkpoints."""
    (folder,) = CHECKPOINTS.iterdir()
    return folder


def inodes(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in folder.glob("*.parquet")}  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 70), size=st.integers(1, 40))
def test_every_line_number_is_in_the_table_or_skipped(tmp_path_factory, count, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        patch.setattr(shards, "SHARD_LINES", size)
        patch.setattr(shards, "make_line_generator", lambda params, name: CheapGenerator())
        folder = shards.synthesize_table(project(count), "cheap")
        lines, skipped, word_sources = expected(count)
        assert folder == OUT
        assert len(list(folder.glob("*.parquet"))) == -(-count // size)
        written = read_table(folder)
        assert [astuple(line) for line in lines] == list(written.itertuples(index=False, name=None))
        assert read_skipped(folder) == skipped
        assert json.loads((folder / "summary.json").read_text(encoding="utf-8")) == {
            "lines": len(lines),
            "skipped": Counter(line.reason for line in skipped),
            "ways": word_sources,
        }
        assert sorted(path.name for path in OUT.parent.iterdir()) == ["cheap"]
        assert not CHECKPOINTS.exists()


def test_the_bytes_do_not_depend_on_the_number_of_processes(synthesize):
    one = hash_folder(synthesize(workers=1))
    assert hash_folder(synthesize(workers=2)) == one


def test_a_killed_run_is_resumed_with_the_missing_shards(synthesize, project_folder):
    script = project_folder / "run.py"
    script.write_text(SCRIPT)
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    workers = [int(path.name.removeprefix("worker-")) for path in Path().glob("worker-*")]
    assert workers  # one of the two may have had nothing to do before it noticed
    wait_until_gone(workers)
    assert not OUT.exists()
    kept = inodes(checkpoint())
    assert 3 <= len(kept) < 8
    resumed = synthesize()
    assert inodes(resumed).items() >= kept.items()
    whole = hash_folder(resumed)
    shutil.rmtree(resumed)
    assert hash_folder(synthesize()) == whole


def wait_until_gone(pids):
    """Wait for workers whose parent was killed to end by themselves."""
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_damaged_shard_is_generated_again_and_partial_files_are_removed(synthesize):
    with pytest.raises(NetchuError, match="line 100 is refused"):
        synthesize(CheapGenerator(fail_at=100))
    assert sorted(inodes(checkpoint())) == [f"{n:05d}.parquet" for n in range(5)]
    (checkpoint() / "00001.parquet").write_bytes(b"PAR1")
    (checkpoint() / "00006.parquet.0123.part").write_bytes(b"half")
    resumed = hash_folder(synthesize())
    assert hash_folder(synthesize()) == resumed


CHANGES = {
    "seed": {"seed": 8},
    "parameter": {"distortion": 0.9},
    # With other shares a line may have moved from training to test: its writer's letters must not
    # be written again into shards that train.
    "split": {"hands": {"test_share": 0.4}},
}


@pytest.mark.parametrize("change", [*CHANGES, "data", "code"])
def test_shards_of_other_code_parameters_or_data_are_not_used(synthesize, monkeypatch, change):
    with pytest.raises(NetchuError):
        synthesize(CheapGenerator(fail_at=100))
    old = checkpoint()
    if change == "data":
        Path("data/tiny/raw/fonts").mkdir(parents=True)
        Path("data/tiny/raw/fonts/a.ttf").write_bytes(b"other")
    if change == "code":
        monkeypatch.setattr(shards.fingerprints, "fingerprint", lambda entries: "other")
    changes = CHANGES.get(change, {})
    with pytest.raises(NetchuError):
        synthesize(CheapGenerator(fail_at=10), **changes)
    (new,) = set(CHECKPOINTS.iterdir()) - {old}
    assert not list(new.iterdir())


def test_progress_counts_the_finished_shards(synthesize, monkeypatch):
    calls = []

    class Bar(shards.Progress):
        def add_task(self, description, total, completed):
            calls.append((total, completed))
            return super().add_task(description, total=total, completed=completed)

        def advance(self, task, advance):
            calls.append(advance)
            super().advance(task, advance)

    with pytest.raises(NetchuError):
        synthesize(CheapGenerator(fail_at=100))
    monkeypatch.setattr(shards, "Progress", Bar)
    synthesize()
    assert calls == [(150, 100), 20, 20, 10]


def test_a_second_run_on_the_same_table_is_an_error(synthesize, monkeypatch):
    refused = []

    def make_line_generator(params, name):
        with pytest.raises(NetchuError, match=f"another process is writing {OUT}; wait") as caught:
            shards.synthesize_table(params, name)
        refused.append(str(caught.value))
        return CheapGenerator()

    alone = hash_folder(synthesize())
    monkeypatch.setattr(shards, "make_line_generator", make_line_generator)
    assert hash_folder(shards.synthesize_table(project(), "cheap")) == alone
    assert len(refused) == 1
    assert "\n" not in refused[0]


def test_a_disk_that_is_full_at_the_end_keeps_the_old_table_and_the_shards(synthesize, monkeypatch):
    def full(skipped, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    old = hash_folder(synthesize(count=10))
    with monkeypatch.context() as patch, pytest.raises(NetchuError, match="no space left"):
        patch.setattr(shards, "write_skipped", full)
        synthesize()
    assert hash_folder(OUT) == old
    assert len(inodes(checkpoint())) == 8
    kept = inodes(checkpoint())
    assert inodes(synthesize()) == kept


def test_memory_does_not_grow_with_the_number_of_lines(synthesize):
    def peak(count):
        tracemalloc.start()
        synthesize(CheapGenerator(size=20_000), count=count)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most, pa.default_memory_pool().max_memory()

    peak(40)  # what is loaded once
    few, many = peak(100), peak(1000)
    assert many[0] < 1.25 * few[0]
    assert many[1] < 1.25 * few[1]
