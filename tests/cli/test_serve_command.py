"""`netchu serve` as a person starts and ends it."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from server_process import serving
from typer.testing import CliRunner

from netchu.cli import app
from netchu.core.errors import NetchuError
from netchu.serve import model_registry


def get(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def test_it_serves_until_it_is_told_to_end(bars_folder, tmp_path):
    with serving("--model", f"bars={bars_folder}", "--collect", str(tmp_path)) as (
        address,
        process,
    ):
        assert "127.0.0.1" in address
        assert "<title>netchu" in get(address)
        assert [model["name"] for model in json.loads(get(f"{address}/api/models"))["models"]] == [
            "netchu", "bars",
        ]  # fmt: skip
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_clients_that_close_without_reading_do_not_end_it():
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


def test_a_key_comes_from_the_environment():
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
        (["--model", "nowhere"], "holds no exported model"),
        (["--model", "netchu=nowhere"], "there is a model 'netchu' already"),
        (["--model", "=x"], "write NAME=DIR"),
        (["--samples", "nowhere"], "no image in this folder"),
        (["--host", "256.1.1.1"], "choose another --port"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, told = run(*arguments)
    assert (code, told.count("\n"), words in told) == (2, 1, True), told


def test_a_port_that_is_taken_is_named():
    with serving() as (address, _):
        code, told = run("--port", address.rpartition(":")[2])
    assert (code, "choose another --port" in told) == (2, True)


def test_without_the_extra_it_says_what_to_install():
    code = "import sys; sys.modules['fastapi'] = None\nfrom netchu.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "pip install 'netchu[serve]'" in done.stderr) == (2, True)


def test_reading_needs_none_of_it():
    code = (
        "import sys, netchu.cli.app; heavy = {'fastapi', 'starlette', 'uvicorn', 'prometheus_client', "
        "'multipart', 'pydantic'} & set(sys.modules); assert not heavy, heavy"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_models_by_folder_name_and_from_mlflow(bars_folder, monkeypatch):
    opened = model_registry.open_shelf([str(bars_folder) + "/"])
    assert list(opened) == ["netchu", bars_folder.name]
    monkeypatch.setattr(model_registry, "_fetched", lambda uri: bars_folder)
    opened = model_registry.open_shelf(
        ["best=models:/netchu-real@champion", "models:/netchu-real/3"]
    )
    assert list(opened) == ["netchu", "best", "3"]
    with pytest.raises(NetchuError, match="already"):
        model_registry.open_shelf(["a=models:/x/1", f"a={Path(bars_folder)}"])
