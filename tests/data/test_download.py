"""Fetching: mirror, download, resumption, and what goes wrong."""

import errno
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.data import fetch, parse
from netchu.data.archives import tar_members
from netchu.data.fetch.download import Source, fetch_file, filling

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
    assert list(tar_members(tmp_path / "out" / "a.tar", "made_up")) == [("x/1.txt", b"one")]


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


CONTENT = {"a/1.txt": b"one", "a/2.txt": bytes(range(256)) * 3, "b.txt": b"three" * 40}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """An archive of CONTENT by kind of compression."""
    folder = tmp_path_factory.mktemp("packed")
    for kind in ("", "gz", "xz", "bz2"):
        pack(folder / f"a.{kind}", CONTENT, f"w:{kind}")
    return folder


@pytest.mark.parametrize("kind", ["", "gz", "xz", "bz2"])
@pytest.mark.parametrize("suffix", ["", "1.txt"])
@given(share=st.floats(0, 1))
@example(share=512 * 2 / 10240)  # a plain archive cut between two members
@example(share=512 * 4.5 / 10240)  # in the middle of a header
@example(share=0.0078125)  # in the header of a gzip
@settings(max_examples=200)
def test_an_archive_cut_anywhere_is_an_error_or_whole(packed, kind, suffix, share):
    whole = (packed / f"a.{kind}").read_bytes()
    cut = packed / f"cut.{kind}"
    cut.write_bytes(whole[: int(share * len(whole))])
    try:
        found = dict(tar_members(cut, source(f"a.{kind}"), suffix))
    except NetchuError as error:
        assert "truncated" in str(error)
    else:
        assert found == {name: c for name, c in CONTENT.items() if name.endswith(suffix)}


@given(place=st.integers(0, 147) | st.integers(156, 511))  # all but the checksum itself
def test_a_spoilt_header_is_no_end(packed, place):
    content = bytearray((packed / "a.").read_bytes())
    content[1024 + place] ^= 0x55
    (packed / "spoilt").write_bytes(content)
    with pytest.raises(NetchuError, match="truncated or not an archive"):
        list(tar_members(packed / "spoilt", "made_up"))


def test_no_archive_at_all(mirror, tmp_path):
    (mirror / "made_up").mkdir(parents=True)
    (mirror / "made_up" / "a.tar").write_text("<html>moved</html>")
    with pytest.raises(NetchuError, match="not an archive"):
        fetch_file(source("a.tar"), tmp_path / "out")


@pytest.fixture
def server():
    """Serves `content`; honours Range, and stops after `most` bytes of an answer.

    With `chunked` it gives no length, as archives made on the fly come.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        content, most, chunked = bytes(range(256)) * 64, 1 << 30, False
        asked: list = []  # noqa: RUF012

        def do_GET(self):
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            type(self).asked.append(start)
            self.close_connection = True
            if wanted and start >= len(self.content):
                self.send_error(416)
                return
            sent = self.content[start : start + self.most]
            self.send_response(206 if wanted else 200)
            if not self.chunked:
                self.send_header("Content-Length", str(len(self.content) - start))
                self.end_headers()
                self.wfile.write(sent)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % (len(self.content) - start) + sent)
            if len(sent) == len(self.content) - start:
                self.wfile.write(b"\r\n0\r\n\r\n")

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield Handler, f"http://127.0.0.1:{httpd.server_port}/a.bin"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize("chunked", [False, True])
def test_download_goes_on_where_it_stopped(server, monkeypatch, tmp_path, chunked):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    handler, url = server
    handler.most, handler.chunked = 5000, chunked
    with pytest.raises(NetchuError, match="run again"):
        fetch_file(source("a.bin", url), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    handler.most = 1 << 30
    fetch_file(source("a.bin", url), tmp_path / "out")
    assert (tmp_path / "out" / "a.bin").read_bytes() == handler.content
    assert handler.asked[0] == 0
    assert handler.asked[1:] == [5000] or chunked
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.bin", "manifest.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_came_whole_but_was_not_renamed_is_fetched_anew(server, monkeypatch, tmp_path):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    handler, url = server
    (tmp_path / "out.download").mkdir()
    (tmp_path / "out.download" / "a.bin.part").write_bytes(handler.content)
    fetch_file(source("a.bin", url), tmp_path / "out")
    assert (tmp_path / "out" / "a.bin").read_bytes() == handler.content
    assert handler.asked == [len(handler.content), 0]


def test_what_a_killed_copy_left_is_not_taken_for_a_download(server, monkeypatch, tmp_path):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    handler, url = server
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "a.bin").write_bytes(b"half of ano")
    fetch_file(source("a.bin", url), tmp_path / "out")
    assert (tmp_path / "out" / "a.bin").read_bytes() == handler.content


class FullDisk(io.BytesIO):
    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing can be written to a file of a partial folder any more."""
    real = Path.open

    def open_file(path, mode="r", *args, **kwargs):
        on_it = path.suffix != ".lock" and ("w" in mode or "a" in mode)
        return FullDisk() if on_it else real(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_file)


def test_full_disk_while_copying(mirror, tmp_path, request):
    pack(mirror / "made_up" / "a.bin", {"x/1.txt": b"one"})
    request.getfixturevalue("full_disk")
    with pytest.raises(NetchuError, match=r"No space left on device.* run again") as error:
        fetch_file(source("a.bin"), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["mirror"]


def test_full_disk_while_downloading(server, monkeypatch, tmp_path, full_disk):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    with pytest.raises(NetchuError, match=r"No space left on device.* run again"):
        fetch_file(source("a.bin", server[1]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_runs_at_once(mirror, tmp_path):
    pack(mirror / "made_up" / "a.tar", {"x/1.txt": b"one"})
    with filling(tmp_path / "out", "first") as partial:
        (partial / "half").write_bytes(b"1")
        with pytest.raises(NetchuError, match="another process is writing"):
            fetch_file(source("a.tar"), tmp_path / "out")
        (partial / "other half").write_bytes(b"2")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["half", "other half"]
    fetch_file(source("a.tar"), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.tar", "manifest.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mirror", "out"]


def test_a_run_that_was_killed_holds_up_nobody(mirror, tmp_path):
    (tmp_path / "out.lock").touch()
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "half").touch()
    pack(mirror / "made_up" / "a.tar", {"x/1.txt": b"one"})
    fetch_file(source("a.tar"), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.tar", "manifest.json"]


def test_what_was_fetched_stays_if_the_next_run_fails(mirror, tmp_path):
    pack(mirror / "made_up" / "a.tar", {"x/1.txt": b"one"})
    fetch_file(source("a.tar"), tmp_path / "out")
    before = (tmp_path / "out" / "a.tar").read_bytes()
    (mirror / "made_up" / "a.tar").write_bytes(before[:700])
    with pytest.raises(NetchuError, match="truncated"):
        fetch_file(source("a.tar"), tmp_path / "out")
    assert (tmp_path / "out" / "a.tar").read_bytes() == before


def test_unknown_source_lists_the_known_ones(tmp_path):
    with pytest.raises(NetchuError, match="kalapa"):
        fetch.fetch("kalappa", tmp_path / "out", {})


def test_a_source_of_text_cannot_be_preprocessed():
    with pytest.raises(
        NetchuError, match="handwriting 'truyen_kieu'"
    ):
        parse.load_handwriting("truyen_kieu")
