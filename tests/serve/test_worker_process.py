"""Processes that are ended and replaced."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fastapi import HTTPException

from bar_model import bars
from netchu.core.errors import NetchuError
from netchu.imaging.images import encode
from netchu.serve import tasks
from netchu.serve.settings import Limits
from netchu.serve.worker_process import NotWantedError, WorkerProcess

AH = encode(bars("ah"))
MEMORY = 2 << 30


@pytest.fixture(scope="module")
def replaced():
    return []


@pytest.fixture(scope="module")
def worker(models, replaced):
    process = WorkerProcess(models, MEMORY, lambda: replaced.append(1))
    yield process
    process.close()


def get_id(readers):
    return os.getpid()


def sleep(readers, seconds):
    time.sleep(seconds)


def abort(readers):
    os.abort()


def allocate(readers, megabytes):
    return len(bytearray(megabytes << 20))


def fail(readers):
    raise ZeroDivisionError("by 0")


def handled(readers):
    return [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]


def run(worker, task, *arguments, seconds=20, **options):
    return worker.run(task, arguments, seconds, **options)


def test_tasks_run_in_another_process_that_has_the_models(worker):
    assert json.loads(run(worker, tasks.read_photo, "bars", "a", AH, True))["text"] == "ah"
    assert run(worker, tasks.find_pages, AH, 9) == [None]
    assert run(worker, tasks.crop_line, AH, None, 0)[:4] == b"\x89PNG"
    first = run(worker, get_id)
    assert first == run(worker, get_id) != os.getpid()


def test_a_body_is_parsed_and_refused_as_in_the_server(worker):
    body = json.dumps({"images": ["aGVq"], "line": True}).encode()
    images, fields = run(worker, tasks.parse_body, "application/json", body, Limits())
    assert ([image.content for image in images], fields) == ([b"hej"], {"line": True})
    with pytest.raises(HTTPException) as refused:
        run(worker, tasks.parse_body, "text/plain", body, Limits())
    assert (refused.value.status_code, "send multipart" in refused.value.detail) == (415, True)


def test_what_a_task_raises_is_raised(worker, replaced):
    before = len(replaced)
    with pytest.raises(NetchuError, match="not an image"):
        run(worker, tasks.read_photo, "bars", "a", b"x", True)
    with pytest.raises(ZeroDivisionError, match="by 0") as raised:
        run(worker, fail)
    assert "in fail" in raised.value.__notes__[0]
    assert len(replaced) == before


@pytest.mark.parametrize(
    ("task", "arguments", "words"),
    [(sleep, (60,), "more than 0.5 seconds"), (abort, (), "ended the process")],
)
def test_a_process_that_overruns_or_dies_is_replaced(worker, replaced, task, arguments, words):
    before, first = len(replaced), run(worker, get_id)
    begin = time.monotonic()
    with pytest.raises(NetchuError, match=words):
        run(worker, task, *arguments, seconds=0.5)
    assert time.monotonic() - begin < 5
    assert len(replaced) == before + 1
    assert run(worker, get_id) != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_process_that_was_killed_while_idle_fails_no_task(worker):
    os.kill(first := run(worker, get_id), signal.SIGKILL)
    time.sleep(0.2)
    assert run(worker, get_id) != first


def test_a_task_that_nobody_waits_for_is_ended(worker):
    first, gone = run(worker, get_id), threading.Event()
    threading.Timer(0.3, gone.set).start()
    begin = time.monotonic()
    with pytest.raises(NotWantedError):
        run(worker, sleep, 60, is_wanted=lambda: not gone.is_set())
    assert time.monotonic() - begin < 5
    assert run(worker, get_id) != first


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")
def test_memory_is_limited(worker):
    assert run(worker, allocate, 64) == 64 << 20
    first = run(worker, get_id)
    with pytest.raises(NetchuError, match="more than 2048 MB of memory"):
        run(worker, allocate, 2048)
    assert run(worker, get_id) == first


def test_signals_to_all_processes_of_the_server_do_not_end_a_worker(worker):
    assert run(worker, handled) == [signal.SIG_IGN, signal.SIG_IGN]


def test_a_worker_ends_with_a_server_that_is_killed(tmp_path):
    code = (
        "from netchu.serve.worker_process import WorkerProcess\n"
        "import test_worker_process as own\n"
        "worker = WorkerProcess({}, 2 << 30)\n"
        "print(worker.run(own.get_id, (), 20), flush=True)\n"
        "worker.run(own.sleep, (60,), 60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )  # fmt: skip
    worker = int(process.stdout.readline())
    process.kill()
    process.communicate()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the worker goes on")
