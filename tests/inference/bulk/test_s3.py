"""`netchu read --out NAME.parquet` from an S3 server on this machine."""

import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bar_model import bars, write_bar_model
from netchu.cli import app
from netchu.imaging.images import encode
from netchu.inference.bulk.file_reader import FileReader, ReadOptions
from netchu.inference.bulk.worklist import Worklist

boto3 = pytest.importorskip("boto3", reason="needs moto[s3,server]")
moto_server = pytest.importorskip("moto.server", reason="needs moto[s3,server]")
s3fs = pytest.importorskip("s3fs")

READ = ["read", "--out", "r.parquet", "--model", "model", "--line"]

SMALL_SHARDS = """
from netchu.cli import app
from netchu.inference.bulk import tables

tables.SHARD_ROWS = 20
app.main()
"""
"""`netchu`, with shards that are soon full."""

FILES = 300


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server."""
    server = moto_server.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(server, tmp_path, monkeypatch):
    """A client of the server, with an empty bucket; the current folder has a model."""
    monkeypatch.chdir(tmp_path)
    write_bar_model(tmp_path / "model")
    settings = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # those of other settings
    client = boto3.client("s3")
    client.create_bucket(Bucket="scans")
    yield client
    listed = client.list_objects_v2(Bucket="scans").get("Contents", [])
    for entry in listed:
        client.delete_object(Bucket="scans", Key=entry["Key"])
    client.delete_bucket(Bucket="scans")


def put(s3, key, content):
    s3.put_object(Bucket="scans", Key=key, Body=content)


def read(*arguments):
    return CliRunner().invoke(app.app, [*READ, "--workers", "1", *arguments])


def rows(table):
    """The rows of a table by the paths of their files, which are there once."""
    read_rows = pq.read_table(table).to_pylist()
    by_path = {row.pop("path"): row for row in read_rows}
    assert len(by_path) == len(read_rows)
    return by_path


def test_a_folder_and_a_list_are_read_as_the_same_files_of_a_disk(s3):
    addresses, paths = [], []
    keys = ["1.png", "sub folder/ả #1 [a].png", "sub folder//2.png", "%20.PNG"]
    for key, text in zip(keys, ["ah", "bah", "cabh", "dh"], strict=True):
        addresses.append(f"s3://scans/pages/{key}")
        put(s3, f"pages/{key}", encode(bars(text)))
        paths.append(key.replace("/", "-"))
        Path(paths[-1]).write_bytes(encode(bars(text)))
    put(s3, "pages/", b"")  # some programs make such an object for each folder
    put(s3, "pages/sub folder/", b"")
    put(s3, "pages/raw.dng", b"")
    put(s3, "pages/.hidden.png", b"")
    put(s3, "pages/.hidden/3.png", b"")
    put(s3, "other/4.png", b"")
    put(s3, "list.txt", "\n".join(addresses))
    worklist = Worklist([], ["s3://scans/pages/"])
    assert sorted(worklist.files()) == sorted(addresses)
    assert [path for path, _ in worklist.refused()] == ["s3://scans/pages/raw.dng"]
    listed = list(Worklist([], ["s3://scans/list.txt"]).files())
    assert listed == addresses
    reader = FileReader(ReadOptions(Path("model"), line=True))
    expected = reader.read(paths)
    assert [row["text"] for row in expected] == ["ah", "bah", "cabh", "dh"]
    assert reader.read(listed) == [
        row | {"path": address} for row, address in zip(expected, addresses, strict=True)
    ]


def test_objects_that_cannot_be_read_have_errors(s3):
    put(s3, "bad.png", b"no image")
    put(s3, "empty.png", b"")
    names = ["bad.png", "empty.png", "gone.png"]
    reader = FileReader(ReadOptions(Path("model")))
    read_rows = reader.read([f"s3://scans/{name}" for name in names] + ["s3://nowhere/1.png"])
    errors = {row["path"]: row["error"] for row in read_rows}
    for name in ("bad.png", "empty.png"):
        assert errors[f"s3://scans/{name}"].startswith(f"s3://scans/{name}: not an image")
    for address in ("s3://scans/gone.png", "s3://nowhere/1.png"):
        assert errors[address] == f"{address}: there is nothing at this address; check it"


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("s3://nowhere/pages", {}, "s3://nowhere/pages: there is nothing at this address"),
        ("s3://scans/nowhere", {}, "s3://scans/nowhere: there is nothing at this address"),
        (
            "s3://scans/pages",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "s3://scans/pages cannot be read (Could not connect to the endpoint URL: "
            '"http://127.0.0.1:9/',
        ),
        (
            "s3://scans/pages",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "s3://scans/pages cannot be read (Unable to locate credentials); check",
        ),
    ],
)
def test_a_source_that_cannot_be_listed_is_one_line(s3, monkeypatch, source, settings, message):
    put(s3, "pages/1.png", encode(bars("ah")))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    done = read(source)
    assert f"netchu: {message}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.exit_code == 2
    assert not Path("r.parquet").exists()


def test_a_key_that_is_refused_is_one_line(s3, server):
    put(s3, "pages/1.png", encode(bars("ah")))
    check_keys(server, True)
    try:
        done = read("s3://scans/pages")
    finally:
        check_keys(server, False)
    assert "netchu: s3://scans/pages cannot be read (Forbidden); check the" in done.stderr
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)


def check_keys(server, on):
    """Let the server refuse keys that it has not made, or not."""
    number = "0" if on else "inf"
    request = urllib.request.Request(
        f"{server}/moto-api/reset-auth", number.encode(), {"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(request).close()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_killed_run_is_resumed_and_reads_each_object_once(s3, request, executor):
    if executor == "ray":
        request.getfixturevalue("cluster")
    for number in range(FILES):
        put(s3, f"pages/{number:03}.png", encode(bars("ab"[number % 2] + "h")))
    put(s3, "pages/bad.png", b"no image")
    command = [
        sys.executable, "-c", SMALL_SHARDS, *READ, "--batch", "4", "--executor", executor,
        "--workers", "2", "s3://scans/pages",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    while not list(Path("r.parquet").glob("*.parquet")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    first = rows("r.parquet")
    assert 0 < len(first) < FILES
    s3.delete_object(Bucket="scans", Key="pages/299.png")
    done = subprocess.run(command, text=True, capture_output=True, timeout=300)
    left = FILES - ("s3://scans/pages/299.png" not in first)
    assert done.stdout == f"r.parquet: {left} pages were read; 1 not, see r.errors.parquet\n", done
    read_rows = rows("r.parquet")
    assert first.items() <= read_rows.items()
    texts = Counter(row["text"] for row in read_rows.values())
    assert texts == {"ah": 150, "bh": left - 150}
    assert list(rows("r.errors.parquet")) == ["s3://scans/pages/bad.png"]
