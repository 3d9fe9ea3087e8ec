"""`netchu serve`: start, options, errors and stop."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from bar_model import write_bar_model
from netchu.cli import app
from netchu.serve.samples import SHIPPED_SAMPLES
from netchu.serve.settings import Settings
from server_process import serving


def get(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def test_it_serves_until_ctrl_c(tmp_path):
    folder = write_bar_model(tmp_path / "bars")
    with serving("--model", f"bars={folder}", "--collect", str(tmp_path)) as (
        address,
        process,
    ):
        assert "127.0.0.1" in address
        assert "<title>netchu" in get(address)
        assert [model["name"] for model in json.loads(get(f"{address}/api/models"))["models"]] == [
            "netchu", "bars",
        ]  # fmt: skip
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == "netchu: stopped\n"


def test_clients_write_nothing_into_the_log():
    truncated = (SHIPPED_SAMPLES / "mali-1.jpg").read_bytes()[:3000]
    part = b'--b\r\nContent-Disposition: form-data; name="images"; filename="x"\r\n\r\n'
    bodies = [
        b"junk", b"--bx", b"--b\r\n\xff: x\r\n\r\n", part + truncated + b"\r\n--b--\r\n",
    ]  # fmt: skip
    with serving() as (address, process):
        host, port = urlsplit(address).hostname, urlsplit(address).port
        for body in bodies:
            connection = http.client.HTTPConnection(host, port, timeout=30)
            kind = {"Content-Type": "multipart/form-data; boundary=b"}
            connection.request("POST", "/api/read", body, kind)
            assert connection.getresponse().status in (200, 400, 422)
            connection.close()
        with socket.create_connection((host, port), timeout=10) as client:
            client.sendall(b"\xff\xff\r\n\r\n")
            assert b"400 Bad Request" in client.recv(999)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == "netchu: stopped\n"


def test_sigterm_ends_it_within_the_grace_whatever_it_does():
    with serving("--grace", "1") as (address, process):
        slow = socket.create_connection(
            (urlsplit(address).hostname, urlsplit(address).port), timeout=10
        )
        slow.sendall(b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        time.sleep(0.5)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert 0.9 < time.monotonic() - begin < 9
        assert process.stderr.read().splitlines()[-1] == "netchu: stopped"


def test_clients_that_close_without_reading_do_not_stop_the_server():
    with serving() as (address, process):
        host, port = urlsplit(address).hostname, urlsplit(address).port
        two = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode() * 2
        for _ in range(20):
            client = socket.create_connection((host, port), timeout=10)
            client.sendall(two)
            client.close()  # the first answer is reset, so the second is written into a closed pipe
        time.sleep(0.5)
        assert process.poll() is None
        assert "<title>netchu" in get(address)


def test_the_api_key_comes_from_the_environment():
    with serving(NETCHU_API_KEY="k") as (address, _):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{address}/api/models")
        assert refused.value.code == 401


def run(*arguments):
    done = CliRunner().invoke(app.app, ["serve", *arguments])
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nowhere"], "has no exported model"),
        (["--model", "netchu=nowhere"], "there is already a model 'netchu'"),
        (["--model", "=x"], "write NAME=DIR"),
        (["--samples", "nowhere"], "no image in this folder"),
        (["--host", "256.1.1.1"], "choose another --port"),
    ],
)
def test_a_wrong_option_is_a_one_line_error(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, told = run(*arguments)
    assert (code, told.count("\n"), words in told) == (2, 1, True), told


def test_a_port_that_is_taken_is_named():
    with serving() as (address, _):
        code, told = run("--port", address.rpartition(":")[2])
    assert (code, "choose another --port" in told) == (2, True)


def test_a_missing_package_is_one_line_that_names_the_extra():
    code = "import sys; sys.modules['fastapi'] = None\nfrom netchu.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "pip install 'netchu[serve]'" in done.stderr) == (2, True)


def test_the_command_line_imports_nothing_of_the_server():
    code = (
        "import sys, netchu.cli.app; heavy = {'fastapi', 'starlette', 'uvicorn', 'multipart', "
        "'prometheus_client', 'pydantic'} & set(sys.modules); assert not heavy, heavy"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "hosts"),
    [
        ([], Settings.hosts),
        (["--allowed-host", "a.example"], (*Settings.hosts, "a.example")),
        (["--host", "0.0.0.0"], None),
        (["--host", "0.0.0.0", "--allowed-host", "a.example"], (*Settings.hosts, "a.example")),
    ],
)
def test_hosts_are_those_of_this_machine_and_the_allowed_ones(arguments, hosts, monkeypatch):
    seen = []
    monkeypatch.setattr("netchu.cli.serve._serve", lambda settings, *rest: seen.append(settings))
    assert run(*arguments)[0] == 0
    assert seen[0].hosts == hosts
