"""Fetching a file: mirror, download, resuming, and errors."""

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
from netchu.data.downloads import Source, download_folder, fetch_file

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


def test_a_file_from_the_mirror_is_described_in_the_manifest(mirror, tmp_path):
    pack(mirror / "made_up" / "a.tar", {"x/1.txt": b"one"})
    fetch_file(source("a.tar"), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["files"]["a.tar"]["size"] == (tmp_path / "out" / "a.tar").stat().st_size
    assert str(tmp_path) not in json.dumps(manifest)
    assert list(tar_members(tmp_path / "out" / "a.tar", "made_up")) == [("x/1.txt", b"one")]


def test_a_file_missing_from_the_mirror_is_named_and_nothing_is_written(mirror, tmp_path):
    with pytest.raises(NetchuError, match=r"made_up/a\.tar"):
        fetch_file(source("a.tar"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_without_mirror_and_network_the_error_names_both_remedies(monkeypatch, tmp_path):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    with pytest.raises(NetchuError, match="set NETCHU_MIRROR or connect"):
        fetch_file(source("a.tar"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "mode"), [("a.tar", "w"), ("a.tar.xz", "w:xz"), ("a.tar.gz", "w:gz")]
)
def test_a_truncated_archive_is_a_one_line_error_and_nothing_is_written(
    mirror, tmp_path, file, mode
):
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
def test_an_archive_truncated_anywhere_is_an_error_or_complete(packed, kind, suffix, share):
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
def test_a_damaged_header_is_not_taken_for_the_end_of_the_archive(packed, place):
    content = bytearray((packed / "a.").read_bytes())
    content[1024 + place] ^= 0x55
    (packed / "damaged").write_bytes(content)
    with pytest.raises(NetchuError, match="truncated or not an archive"):
        list(tar_members(packed / "damaged", "made_up"))


def test_a_file_that_is_not_an_archive_is_an_error(mirror, tmp_path):
    (mirror / "made_up").mkdir(parents=True)
    (mirror / "made_up" / "a.tar").write_text("<html>moved</html>")
    with pytest.raises(NetchuError, match="not an archive"):
        fetch_file(source("a.tar"), tmp_path / "out")


@pytest.fixture
def server():
    """Serves `content`; honours Range, and stops after `most` bytes of a response.

    With `chunked` it sends no length, like servers that make archives on the fly.
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
def test_an_interrupted_download_is_resumed(server, monkeypatch, tmp_path, chunked):
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


def test_a_complete_download_that_was_not_renamed_is_downloaded_again(
    server, monkeypatch, tmp_path
):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    handler, url = server
    (tmp_path / "out.download").mkdir()
    (tmp_path / "out.download" / "a.bin.part").write_bytes(handler.content)
    fetch_file(source("a.bin", url), tmp_path / "out")
    assert (tmp_path / "out" / "a.bin").read_bytes() == handler.content
    assert handler.asked == [len(handler.content), 0]


def test_the_files_of_a_killed_copy_are_not_resumed_as_a_download(server, monkeypatch, tmp_path):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    handler, url = server
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "a.bin").write_bytes(b"half of ano")
    fetch_file(source("a.bin", url), tmp_path / "out")
    assert (tmp_path / "out" / "a.bin").read_bytes() == handler.content


def parted(url):
    parts = {"a.txt": f"{url}?a", "b.txt": f"{url}?b"}
    return Source("made_up", "a.tar.xz", url="", licence="public domain", parts=parts)


def test_the_parts_of_a_source_are_resumed_and_packed(server, monkeypatch, tmp_path):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    handler, url = server
    handler.most = 5000
    with pytest.raises(NetchuError, match="run again"):
        fetch_file(parted(url), tmp_path / "out")
    handler.most = 1 << 30
    for folder in ("out", "again"):
        fetch_file(parted(url), tmp_path / folder)
    assert handler.asked == [0, 5000, 0, 0, 0]
    first, again = (tmp_path / folder / "a.tar.xz" for folder in ("out", "again"))
    content = handler.content
    assert list(tar_members(first, "made_up")) == [("a.txt", content), ("b.txt", content)]
    assert first.read_bytes() == again.read_bytes()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.tar.xz", "manifest.json"]


class FullDisk(io.BytesIO):
    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def full_disk(monkeypatch):
    """Files other than locks cannot be written."""
    real = Path.open

    def open_file(path, mode="r", *args, **kwargs):
        on_it = path.suffix != ".lock" and ("w" in mode or "a" in mode)
        return FullDisk() if on_it else real(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_file)


def test_a_full_disk_while_copying_is_a_one_line_error(mirror, tmp_path, request):
    pack(mirror / "made_up" / "a.bin", {"x/1.txt": b"one"})
    request.getfixturevalue("full_disk")
    with pytest.raises(NetchuError, match=r"No space left on device.* run again") as error:
        fetch_file(source("a.bin"), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["mirror"]


def test_a_full_disk_while_downloading_is_an_error(server, monkeypatch, tmp_path, full_disk):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    with pytest.raises(NetchuError, match=r"No space left on device.* run again"):
        fetch_file(source("a.bin", server[1]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_processes_cannot_write_the_same_folder(mirror, tmp_path):
    pack(mirror / "made_up" / "a.tar", {"x/1.txt": b"one"})
    with download_folder(tmp_path / "out", "first") as partial:
        (partial / "half").write_bytes(b"1")
        with pytest.raises(NetchuError, match="another process is writing"):
            fetch_file(source("a.tar"), tmp_path / "out")
        (partial / "other half").write_bytes(b"2")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["half", "other half"]
    fetch_file(source("a.tar"), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.tar", "manifest.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mirror", "out"]


def test_files_of_a_killed_run_do_not_block_the_next(mirror, tmp_path):
    (tmp_path / "out.lock").touch()
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "half").touch()
    pack(mirror / "made_up" / "a.tar", {"x/1.txt": b"one"})
    fetch_file(source("a.tar"), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.tar", "manifest.json"]


def test_a_failing_fetch_keeps_the_folder_of_an_earlier_one(mirror, tmp_path):
    pack(mirror / "made_up" / "a.tar", {"x/1.txt": b"one"})
    fetch_file(source("a.tar"), tmp_path / "out")
    before = (tmp_path / "out" / "a.tar").read_bytes()
    (mirror / "made_up" / "a.tar").write_bytes(before[:700])
    with pytest.raises(NetchuError, match="truncated"):
        fetch_file(source("a.tar"), tmp_path / "out")
    assert (tmp_path / "out" / "a.tar").read_bytes() == before


def test_an_unknown_source_lists_the_known_ones(tmp_path):
    with pytest.raises(NetchuError, match="kalapa"):
        fetch.fetch("kalappa", tmp_path / "out", {})


def test_a_source_of_texts_is_not_a_source_of_handwriting():
    with pytest.raises(NetchuError, match="handwriting 'truyen_kieu'"):
        parse.load_handwriting("truyen_kieu")
