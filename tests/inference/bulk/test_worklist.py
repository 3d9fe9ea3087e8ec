"""Folders, lists and addresses give each file once."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from netchu.core.errors import NetchuError
from netchu.inference.bulk.worklist import Worklist


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.png", "a/b/2.JPG", "a/.hidden/3.png", "a/.4.png", "a/notes.txt", "a/5.dng"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def files(*sources, before=()):
    return list(Worklist(before, sources).files())


def test_images_of_a_folder_and_below_it_once(home):
    assert sorted(files("a", "a/b", "a/1.png")) == ["a/1.png", "a/b/2.JPG"]


def test_images_in_other_formats_are_refused(home):
    ((path, error),) = Worklist([], ["a"]).refused()
    assert path == "a/5.dng"
    assert "not a format that is read" in error
    assert len(Worklist([], ["a"])) == 3


def test_files_that_were_read_before_are_left_out(home):
    worklist = Worklist(["a/1.png", "a/1.png", "gone.png"], ["a", "a"])
    assert list(worklist.files()) == ["a/b/2.JPG"]
    assert not len(Worklist(["a/1.png", "a/b/2.JPG", "a/5.dng"], ["a"]))


def test_a_list_keeps_its_order_and_says_each_path_once(home, monkeypatch):
    text = "z.png\r\n\n a.png\nz.png\ns3://bucket/b.png\n"
    (home / "list.txt").write_text(text, newline="")
    expected = ["z.png", " a.png", "s3://bucket/b.png"]
    assert files("list.txt") == expected
    stdin = SimpleNamespace(buffer=io.BytesIO(text.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert files("-") == expected


def test_addresses_of_a_file_a_folder_and_a_list(home):
    (home / "list.txt").write_text("x.png\n")
    address = f"file://{home}"
    listed = Worklist([], [f"{address}/a", f"{address}/a/1.png", f"{address}/list.txt"])
    expected = [f"{address}/a/1.png", f"{address}/a/b/2.JPG", "x.png"]
    assert sorted(listed.files()) == expected
    assert [entry.path for entry in listed.refused()] == [f"{address}/a/5.dng"]


def test_a_name_that_is_not_utf_8_is_refused(home):
    (home / "list.txt").write_bytes(b"na\xefve.png\n")
    worklist = Worklist([], ["list.txt"])
    assert list(worklist.files()) == []
    assert [tuple(entry) for entry in worklist.refused()] == [
        ("na\\xefve.png", "its name is not UTF-8; rename it")
    ]
    assert not len(Worklist(["na\\xefve.png"], ["list.txt"]))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gone.png", "'gone.png' is no file and no folder"),
        ("", "'' is no file and no folder"),
        ("file:///gone/away", "nothing at this address"),
        ("odd://bucket/a.png", "Protocol not known"),
    ],
)
def test_a_source_that_does_not_exist_is_one_line(home, source, message):
    with pytest.raises(NetchuError, match=message) as caught:
        files("a", source)
    assert "\n" not in str(caught.value)


def test_the_list_is_on_the_disk(home):
    worklist = Worklist((f"{number:0500}" for number in range(20_000)), ["a"])
    assert len(worklist) == 3
    descriptors = Path("/proc/self/fd").iterdir()
    opened = [str(file.readlink()) for file in descriptors if os.path.lexists(file)]
    assert any("etilqs_" in name for name in opened)  # a temporary file of SQLite
