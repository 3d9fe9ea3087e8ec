"""Proofs that take a while: a crowd, kills in mid-request, requests made from the API's words."""

import base64
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from server_process import serving

from netchu.data.line_table import Skipped
from netchu.data.parse.csv import parse
from netchu.imaging.images import encode
from netchu.serve.samples import SHIPPED

pytestmark = pytest.mark.slow


def test_a_crowd_gets_answers_or_is_told_to_wait(monkeypatch):
    monkeypatch.syspath_prepend("benchmarks")
    import serving as benchmark

    load = benchmark.measure(clients=200, seconds=20)
    print(load)
    assert set(load.statuses) <= {200, 429}
    assert load.statuses[200] > 20
    assert load.memory[-1] < 1.25 * load.memory[0] + 20
    assert load.quantile(0.95) < 60


def ask(address, path, body, kind):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request("POST", path, body, {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, answer.read()


def keep_on(address, acknowledged):
    """Correct one line after another until the server is gone."""
    for number in range(10**6):
        noise = np.random.default_rng().integers(0, 256, (16, 64))
        image = base64.b64encode(encode(noise.astype(np.uint8))).decode()
        label = f"số {threading.get_ident()} {number}"
        body = json.dumps({"image": image, "label": label})
        try:
            status, _ = ask(address, "/api/corrections", body, "application/json")
        except (OSError, http.client.HTTPException):
            return
        assert status == 201
        acknowledged.append(label)


def test_killed_in_mid_request_no_correction_is_lost(tmp_path):
    acknowledged = []
    for wait in (0.2, 0.7):
        with serving("--collect", str(tmp_path)) as (address, process):
            crowd = [threading.Thread(target=keep_on, args=(address, acknowledged))
                     for _ in range(4)]  # fmt: skip
            begun = len(acknowledged)
            for each in crowd:
                each.start()
            while len(acknowledged) < begun + 5:
                time.sleep(0.05)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
            for each in crowd:
                each.join(60)
        lines = list(parse(tmp_path / "corrections.csv"))
        assert not [line for line in lines if isinstance(line, Skipped)]
        assert set(acknowledged) <= {line.text for line in lines}


def test_told_to_end_it_answers_what_it_has():
    image = (SHIPPED / "mali-1.jpg").read_bytes()
    body = json.dumps({"images": [base64.b64encode(image).decode()] * 32})
    with serving() as (address, process):
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(ask(address, "/api/read", body, "application/json"))
        )
        asking.start()
        until = time.monotonic() + 20
        while time.monotonic() < until and b"held_images 32" not in metrics(address):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        asking.join(60)
        status, told = answers[0]
        assert status == 200
        assert len(json.loads(told)["readings"]) == 32
        process.wait(30)


def metrics(address):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request("GET", "/metrics")
    return connection.getresponse().read()


def test_a_huge_photo_holds_up_nobody_for_long():
    page_HW = np.full((6000, 8000), 230, np.uint8)
    cv2.putText(page_HW, "To 3", (900, 3000), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 20, 30, 30)
    body = json.dumps({"images": [base64.b64encode(encode(page_HW)).decode()]})
    with serving() as (address, _):
        begin = time.monotonic()
        status, _ = ask(address, "/api/read", body, "application/json")
        assert status == 200
        assert time.monotonic() - begin < 60


CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)


def test_nothing_that_the_api_describes_breaks_it(tmp_path):
    with serving("--collect", str(tmp_path / "kept")) as (address, process):
        done = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run", f"{address}/openapi.json",
             "--checks", CHECKS, "--max-examples", "15", "--seed", "1", "--request-timeout", "60"],
            capture_output=True, text=True, check=False, cwd=tmp_path, timeout=500,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert process.poll() is None
