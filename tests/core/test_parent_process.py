"""A process ends soon after the one that started it was killed."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

MASTER = """
import multiprocessing, sys, time
from netchu.core.processes import exit_with_parent

def work():
    exit_with_parent()
    print(multiprocessing.current_process().pid, flush=True)
    while True:  # it computes and reads no pipe
        sum(range(1000))

if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work, daemon=True)
    worker.start()
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_worker_ends_with_its_killed_master(tmp_path, method):
    script = tmp_path / "master.py"
    script.write_text(MASTER)
    command = [sys.executable, str(script), method]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as master:
        worker = psutil.Process(int(master.stdout.readline()))
        time.sleep(1)
        assert worker.is_running()
        master.send_signal(signal.SIGKILL)
        begin = time.monotonic()
        worker.wait(20)
    assert time.monotonic() - begin < 5  # half a second on an idle machine
