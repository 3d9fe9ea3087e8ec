"""Fetching: mirror, download, resumption, and what goes wrong."""

import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from netchu import sources
from netchu.errors import NetchuError
from netchu.sources.base import Source, fetch_file, members

NOWHERE = "http://127.0.0.1:9/nothing"


def source(file, url=NOWHERE):
    return Source(name="made_up", file=file, url=url, licence="public domain")


def pack(path, files, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("NETCHU_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


def test_mirror_file_comes_with_its_manifest(mirror, tmp_path):
    pack(mirror / "made_up" / "a.tar", {"x/1.txt": b"one"})
    fetch_file(source("a.tar"), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["files"]["a.tar"]["size"] == (tmp_path / "out" / "a.tar").stat().st_size
    assert str(tmp_path) not in json.dumps(manifest)
    assert list(members(tmp_path / "out" / "a.tar", source("a.tar"))) == [("x/1.txt", b"one")]


def test_missing_mirror_file_is_named_and_leaves_nothing(mirror, tmp_path):
    with pytest.raises(NetchuError, match=r"made_up/a\.tar"):
        fetch_file(source("a.tar"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_neither_mirror_nor_network(monkeypatch, tmp_path):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    with pytest.raises(NetchuError, match="set NETCHU_MIRROR or connect"):
        fetch_file(source("a.tar"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "mode"), [("a.tar", "w"), ("a.tar.xz", "w:xz"), ("a.tar.gz", "w:gz")]
)
def test_truncated_archive_is_one_line_and_leaves_nothing(mirror, tmp_path, file, mode):
    path = mirror / "made_up" / file
    pack(path, {f"{n}.bin": bytes(range(256)) * 40 for n in range(5)}, mode)
    fetch_file(source(file), tmp_path / "whole")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    with pytest.raises(NetchuError, match="truncated") as error:
        fetch_file(source(file), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()


def test_no_archive_at_all(mirror, tmp_path):
    (mirror / "made_up").mkdir(parents=True)
    (mirror / "made_up" / "a.tar").write_text("<html>moved</html>")
    with pytest.raises(NetchuError, match="no archive"):
        fetch_file(source("a.tar"), tmp_path / "out")


@pytest.fixture
def server():
    """Serves `content`; honours Range, and stops after `most` bytes of an answer."""

    class Handler(BaseHTTPRequestHandler):
        content, most = bytes(range(256)) * 64, 1 << 30
        asked: list = []  # noqa: RUF012

        def do_GET(self):
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            type(self).asked.append(start)
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(self.content) - start))
            self.end_headers()
            self.wfile.write(self.content[start : start + self.most])

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield Handler, f"http://127.0.0.1:{httpd.server_port}/a.bin"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_download_goes_on_where_it_stopped(server, monkeypatch, tmp_path):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    handler, url = server
    handler.most = 5000
    with pytest.raises(NetchuError, match="run again"):
        fetch_file(source("a.bin", url), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    handler.most = 1 << 30
    fetch_file(source("a.bin", url), tmp_path / "out")
    assert (tmp_path / "out" / "a.bin").read_bytes() == handler.content
    assert handler.asked == [0, 5000]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.bin", "manifest.json"]


def test_unknown_source_lists_the_known_ones():
    with pytest.raises(NetchuError, match="kalapa"):
        sources.load("kalappa")


def test_a_source_of_text_cannot_be_preprocessed():
    with pytest.raises(NetchuError, match="holds no handwriting"):
        sources.load_handwriting("truyen_kieu")


@pytest.mark.parametrize("name", sorted(sources.MODULES))
def test_every_registered_source_can_be_fetched(name):
    assert callable(sources.load(name).fetch)
