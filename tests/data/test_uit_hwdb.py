"""UIT-HWDB from a folder that the user unpacked, or from the mirror."""

import json
import os

import pytest

import archives
from netchu.core.errors import NetchuError
from netchu.data import fetch
from netchu.data.line_table import LEVELS, Skipped
from netchu.data.parse.handwriting import uit_hwdb


def test_levels_writers_and_the_official_test_split(tmp_path):
    archives.uit_hwdb(tmp_path)
    lines = {line.id: line for line in uit_hwdb.parse(tmp_path, LEVELS)}
    assert len(lines) == 9
    line = lines["uit_hwdb-paragraph-test-250-1"]
    assert (line.text, line.writer, line.level, line.split) == (
        "Lê xu bạc", "250", "paragraph", "test",
    )  # fmt: skip
    assert {line.split for line in lines.values() if line.writer != "250"} == {""}


def test_images_without_labels_and_labels_without_images_are_skipped(tmp_path):
    files = archives.uit_hwdb_files()
    home = "UIT_HWDB_line/train_data/1"
    files[f"{home}/label.json"] = json.dumps({"2.jpg": "a"})
    archives.pack(tmp_path / "uit_hwdb.tar", files)
    skipped = [line for line in uit_hwdb.parse(tmp_path) if isinstance(line, Skipped)]
    assert {line.id: line.reason for line in skipped} == {
        "uit_hwdb-line-train-1-1": "image without a label",
        "uit_hwdb-line-train-1-2": "label without an image",
    }


def test_damaged_labels_are_named(tmp_path):
    files = archives.uit_hwdb_files() | {"UIT_HWDB_word/test_data/250/label.json": "{"}
    archives.pack(tmp_path / "uit_hwdb.tar", files)
    with pytest.raises(NetchuError, match=r"UIT_HWDB_word/test_data/250/label\.json is not JSON"):
        list(uit_hwdb.parse(tmp_path))


def test_an_archive_without_the_given_level_is_an_error(tmp_path):
    files = {name: c for name, c in archives.uit_hwdb_files().items() if "_word" in name}
    archives.pack(tmp_path / "uit_hwdb.tar", files)
    with pytest.raises(NetchuError, match="level line"):
        list(uit_hwdb.parse(tmp_path, ("line",)))


def test_the_same_files_are_packed_into_the_same_bytes(tmp_path):
    archives.unpack(tmp_path / "a", archives.uit_hwdb_files())
    files = archives.uit_hwdb_files("UIT_HWDB/again/")
    archives.unpack(tmp_path / "b", dict(reversed(files.items())) | {
        "UIT_HWDB/readme.txt": "x", "__MACOSX/UIT_HWDB_line/train_data/1/._1.jpg": "x",
    })  # fmt: skip
    os.utime(next((tmp_path / "b").rglob("1.jpg")), (1, 1))
    for name in "ab":
        fetch.fetch("uit_hwdb", tmp_path / "out" / name, {"folder": str(tmp_path / name)})
    packed = [(tmp_path / "out" / name / "uit_hwdb.tar").read_bytes() for name in "ab"]
    assert packed[0] == packed[1]
    assert len(list(uit_hwdb.parse(tmp_path / "out" / "a", LEVELS))) == 9
    manifest = json.loads((tmp_path / "out" / "a" / "manifest.json").read_text())
    assert list(manifest["files"]) == ["uit_hwdb.tar"]


def test_a_folder_without_the_data_set_is_an_error_and_nothing_is_written(tmp_path):
    with pytest.raises(NetchuError, match=r"set sources\.uit_hwdb\.folder"):
        fetch.fetch("uit_hwdb", tmp_path / "out", {"folder": str(tmp_path / "nowhere")})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_two_copies_is_an_error(tmp_path):
    archives.unpack(tmp_path / "a", archives.uit_hwdb_files())
    archives.unpack(tmp_path / "a", archives.uit_hwdb_files("again/"))
    with pytest.raises(NetchuError, match="remove one"):
        fetch.fetch("uit_hwdb", tmp_path / "out", {"folder": str(tmp_path / "a")})
    assert not (tmp_path / "out").exists()


def test_without_folder_and_mirror_the_error_describes_the_manual_download(monkeypatch, tmp_path):
    monkeypatch.delenv("NETCHU_MIRROR", raising=False)
    with pytest.raises(NetchuError, match=r"UIT-HWDB-dataset.*sources\.uit_hwdb\.folder") as error:
        fetch.fetch("uit_hwdb", tmp_path / "out", {})
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
