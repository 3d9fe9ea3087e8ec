"""Slow tests: many clients, kills during requests, requests generated from the OpenAPI schema."""

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

from netchu.data.line_table import Skipped
from netchu.data.parse.handwriting.csv import parse
from netchu.imaging.images import encode
from netchu.serve.samples import SHIPPED_SAMPLES
from server_process import serving

pytestmark = pytest.mark.slow


def test_many_clients_get_readings_or_429(monkeypatch):
    monkeypatch.syspath_prepend("benchmarks")
    import serving as benchmark

    load = benchmark.measure(clients=200, seconds=20)
    print(load)
    assert set(load.statuses) <= {200, 429}
    assert load.statuses[200] > 20
    assert load.memory[-1] < 1.25 * load.memory[0] + 20
    assert load.quantile(0.95) < 60


def post(address, path, body, kind):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request("POST", path, body, {"Content-Type": kind})
    response = connection.getresponse()
    return response.status, response.read()


def add_corrections(address, acknowledged):
    """Correct lines until the server is killed."""
    for number in range(10**6):
        noise = np.random.default_rng().integers(0, 256, (16, 64))
        image = base64.b64encode(encode(noise.astype(np.uint8))).decode()
        label = f"số {threading.get_ident()} {number}"
        body = json.dumps({"image": image, "label": label})
        try:
            status, _ = post(address, "/api/corrections", body, "application/json")
        except (OSError, http.client.HTTPException):
            return
        assert status == 201
        acknowledged.append(label)


def test_no_correction_is_lost_when_the_server_is_killed(tmp_path):
    acknowledged = []
    for wait in (0.2, 0.7):
        with serving("--collect", str(tmp_path)) as (address, process):
            threads = [threading.Thread(target=add_corrections, args=(address, acknowledged))
                     for _ in range(4)]  # fmt: skip
            before = len(acknowledged)
            for each in threads:
                each.start()
            while len(acknowledged) < before + 5:
                time.sleep(0.05)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
            for each in threads:
                each.join(60)
        lines = list(parse(tmp_path / "corrections.csv"))
        assert not [line for line in lines if isinstance(line, Skipped)]
        assert set(acknowledged) <= {line.text for line in lines}


def test_a_terminated_server_finishes_its_requests():
    image = (SHIPPED_SAMPLES / "mali-1.jpg").read_bytes()
    body = json.dumps({"images": [base64.b64encode(image).decode()] * 32})
    with serving() as (address, process):
        responses = []
        thread = threading.Thread(
            target=lambda: responses.append(post(address, "/api/read", body, "application/json"))
        )
        thread.start()
        until = time.monotonic() + 20
        while time.monotonic() < until and b"held_images 32" not in metrics(address):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        thread.join(60)
        status, body = responses[0]
        assert status == 200
        assert len(json.loads(body)["readings"]) == 32
        process.wait(30)


def metrics(address):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request("GET", "/metrics")
    return connection.getresponse().read()


def test_a_huge_photo_is_read_in_bounded_time():
    page_HW = np.full((6000, 8000), 230, np.uint8)
    cv2.putText(page_HW, "To 3", (900, 3000), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 20, 30, 30)
    body = json.dumps({"images": [base64.b64encode(encode(page_HW)).decode()]})
    with serving() as (address, _):
        begin = time.monotonic()
        status, _ = post(address, "/api/read", body, "application/json")
        assert status == 200
        assert time.monotonic() - begin < 60


CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)


def test_responses_conform_to_the_openapi_schema(tmp_path):
    with serving("--collect", str(tmp_path / "kept")) as (address, process):
        done = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run", f"{address}/openapi.json",
             "--checks", CHECKS, "--max-examples", "15", "--seed", "1", "--request-timeout", "60"],
            capture_output=True, text=True, check=False, cwd=tmp_path, timeout=500,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert process.poll() is None
