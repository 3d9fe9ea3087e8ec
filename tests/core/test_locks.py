import subprocess
import sys

import pytest

from netchu.core.errors import NetchuError
from netchu.core.files import new_file
from netchu.core.locks import exclusive_lock

HOLDER = """
import sys, time
from pathlib import Path
from netchu.core.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `table`."""
    command = [sys.executable, "-c", HOLDER, tmp_path / "table"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_that_another_process_holds_is_an_error_until_that_process_dies(tmp_path, holder):
    with (
        pytest.raises(NetchuError, match=r"another process is writing .*table; wait for it"),
        exclusive_lock(tmp_path / "table"),
    ):
        pass
    holder.kill()
    holder.wait()
    with exclusive_lock(tmp_path / "table"):
        pass


def test_a_lock_is_not_taken_twice_in_one_process_and_leaves_no_file(tmp_path):
    with exclusive_lock(tmp_path / "new" / "table"):
        with pytest.raises(NetchuError), exclusive_lock(tmp_path / "new" / "table"):
            pass
        with exclusive_lock(tmp_path / "new" / "other"):
            pass
    assert list((tmp_path / "new").iterdir()) == []


def test_a_durable_file_is_written_where_folders_cannot_be_opened(tmp_path, monkeypatch):
    """As on Windows, where a file is flushed through a descriptor that may write."""
    import os

    flushed = []
    monkeypatch.setattr("netchu.core.files.os.name", "nt")
    monkeypatch.setattr("netchu.core.files.os.fsync", lambda fd: flushed.append(os.fstat(fd)))
    with new_file(tmp_path / "a", durable=True) as partial:
        partial.write_bytes(b"1")
    assert len(flushed) == 1
    assert (tmp_path / "a").read_bytes() == b"1"


WITHOUT_FCNTL = """
import sys
sys.modules["fcntl"] = None
from netchu.serve.app import create_app
from netchu.serve.settings import Settings
create_app(Settings())
print("ready")
"""


def test_a_server_is_created_without_fcntl(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL], capture_output=True, text=True, check=True
    )
    assert done.stdout == "ready\n"
