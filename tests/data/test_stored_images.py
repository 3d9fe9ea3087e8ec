"""Images that stay on disk are those that were written, whatever is done with the frame."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.paths import SCRATCH
from netchu.data import line_table as lines_module
from netchu.data.line_table import read_table, write_table
from netchu.data.stored_images import ImageFile, StoredImages
from small_project import drawn_lines


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stored(*images):
    return StoredImages.of(images)


@given(st.lists(st.lists(st.binary(max_size=9), max_size=4), max_size=4), st.data())
def test_images_are_read_as_they_were_written(parts, data):
    file = ImageFile()
    written = []
    for part in parts:
        start = data.draw(st.integers(0, len(part)))
        array = pa.array([b"before", *part], pa.large_binary()).slice(start + 1)
        written.append(StoredImages((file,), file.append(array)))
        assert list(written[-1]) == part[start:]
    for part, column in zip(parts, written, strict=True):
        assert list(column) == part[len(part) - len(column) :]


def test_selecting_and_joining_rows_keeps_the_image_of_each_line():
    first = pd.DataFrame({"id": list("abcd"), "image": stored(b"a", b"bb", b"", b"dddd")})
    second = pd.DataFrame({"id": list("xy"), "image": stored(b"x", b"yy")})
    both = pd.concat([first, second, first.iloc[:0]], ignore_index=True)
    again = pd.concat([both, first[first["id"] > "b"]], ignore_index=True)
    wanted = dict(zip("abcdxy", [b"a", b"bb", b"", b"dddd", b"x", b"yy"], strict=True))
    for frame in (both, again, again.sort_values("id"), again.sample(5, random_state=0),
                  again.groupby("id").head(1), again.set_index("id").loc[["y", "a"]].reset_index(),
                  again.drop_duplicates("id").copy()):  # fmt: skip
        assert len(frame)
        assert isinstance(frame["image"].array, StoredImages)
        assert list(frame["image"]) == [wanted[name] for name in frame["id"]]
    assert len(again["image"].array.files) == 2


def test_a_machine_that_has_not_the_files_gets_the_images(tmp_path):
    column = stored(b"a", b"bb", b"ccc")[np.array([2, 0])]
    pickled = tmp_path / "pickled"
    pickled.write_bytes(pickle.dumps(column))
    load = "import pickle, sys; print(list(pickle.load(open(sys.argv[1], 'rb'))))"
    for _ in range(2):
        loaded = subprocess.check_output([sys.executable, "-c", load, pickled], cwd=tmp_path)
        assert loaded.decode().strip() == str([b"ccc", b"a"])


def test_a_line_without_an_image_is_an_error():
    with pytest.raises(ValueError, match="a line without an image"):
        stored(b"a", None)
    frame = pd.DataFrame({"image": stored(b"a", b"b")})
    with pytest.raises(ValueError, match="a line without an image"):
        frame.reindex([0, 5])


def test_the_images_of_a_table_are_on_the_disk_and_not_in_memory(monkeypatch):
    monkeypatch.setattr(lines_module, "SHARD_LINES", 5)
    lines = drawn_lines(number=12)
    write_table(lines, SCRATCH.parent / "table")
    table = read_table(SCRATCH.parent / "table")
    (file,) = table["image"].array.files
    assert os.fstat(file._file.fileno()).st_size == sum(len(line.image) for line in lines)
    assert table["image"].nbytes == 14 * len(lines)
    assert list(table["image"]) == [line.image for line in lines]


def _opened():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_is_left_on_the_disk():
    column = stored(b"a", b"b")
    assert list(SCRATCH.iterdir()) == []
    assert list(column) == [b"a", b"b"]
    before = _opened()
    del column
    assert _opened() == before - 1


def _send(column, end):
    end.send([list(column), os.getpid()])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_reads_the_same_file(method):
    column = stored(b"a", b"bb")[np.array([1, 0])]
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=_send, args=(column, there))
    process.start()
    images, pid = here.recv()
    process.join()
    assert images == [b"bb", b"a"]
    assert pid != os.getpid()
