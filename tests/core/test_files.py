"""Writing whole or not at all."""

import pytest

from netchu.core.errors import NetchuError
from netchu.core.files import (
    hash_file,
    new_file,
    new_folder,
    read_json,
    remove_partial_files,
    write_json,
)


def test_a_new_folder_replaces_the_old_one(tmp_path):
    folder = tmp_path / "a" / "folder"
    for name in ("old", "new"):
        with new_folder(folder) as partial:
            (partial / name).touch()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_an_error_leaves_the_old_folder_and_no_other(tmp_path):
    folder = tmp_path / "folder"
    with new_folder(folder) as partial:
        (partial / "old").touch()
    with pytest.raises(KeyboardInterrupt), new_folder(folder) as partial:
        (partial / "new").touch()
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


def test_what_a_killed_process_left_is_not_in_the_next_folder(tmp_path):
    (tmp_path / "folder.part").mkdir()
    (tmp_path / "folder.part" / "left").touch()
    with new_folder(tmp_path / "folder") as partial:
        assert list(partial.iterdir()) == []


@pytest.mark.parametrize("durable", [False, True])
def test_a_new_file_replaces_the_old_one_only_when_it_is_whole(tmp_path, durable):
    path = tmp_path / "folder" / "file"
    with new_file(path, durable=durable) as partial:
        partial.write_text("old")
        assert not path.exists()
    with pytest.raises(OSError, match="full"), new_file(path, durable=durable) as partial:
        partial.write_text("half")
        raise OSError("full")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_half_written_files_of_killed_processes_are_removed(tmp_path):
    (tmp_path / "a.1234.part").touch()
    (tmp_path / "a").touch()
    remove_partial_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_equal_content_is_equal_json(tmp_path):
    write_json({"b": "ậ", "a": [1.5]}, tmp_path / "one.json")
    write_json({"a": [1.5], "b": "ậ"}, tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert "ậ" in (tmp_path / "one.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "one.json", "") == {"b": "ậ", "a": [1.5]}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is not here; run it"), (b"{", "is damaged .*; run it"), (b"\xff", "damaged")],
)
def test_json_that_cannot_be_read_is_named_with_the_remedy(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NetchuError, match=message):
        read_json(path, "run it")


def test_the_hash_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a").startswith("ba7816bf8f01cfea")
