"""Corrections are on the disk before they are acknowledged."""

import base64
import csv
import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from bar_model import bars
from netchu import Reader
from netchu.core.errors import NetchuError
from netchu.core.locks import exclusive_lock
from netchu.data.line_table import Skipped
from netchu.data.parse.handwriting.csv import parse
from netchu.imaging.images import encode
from netchu.imaging.photos import read_photo
from netchu.inference.segmentation.line_boxes import crop_line, find_lines
from netchu.serve import corrections as corrections_module
from netchu.serve.corrections import CorrectionStore
from netchu.serve.crops import encode_crop
from netchu.serve.settings import Limits

AH = encode(bars("ah"))


@pytest.fixture
def corrections(tmp_path):
    store = CorrectionStore(tmp_path / "kept", max_corrections=100, max_label_length=50)
    with store.open():
        yield store


def add(corrections, photo, box, label, turns=0):
    return corrections.add(encode_crop(photo, box, turns), corrections.normalise_label(label))


def training_labels(corrections):
    """The labels that `netchu train --csv` reads."""
    return [line.text for line in parse(corrections.folder / "corrections.csv")]


def written_page():
    photo_HW = np.full((300, 900), 235, np.uint8)
    for place, text in enumerate(("hoa binh", "To 3 Lang")):
        cv2.putText(photo_HW, text, (60, 100 + 110 * place), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2,
                    30, 3)  # fmt: skip
    return photo_HW


def test_corrections_are_a_table_to_train_with(corrections):
    assert add(corrections, AH, None, "  Hà   Nội ") == 1
    assert add(corrections, encode(bars("bah")), None, 'ngõ "5", Huế') == 2
    assert training_labels(corrections) == ["Hà Nội", 'ngõ "5", Huế']
    (first, _) = parse(corrections.folder / "corrections.csv")
    np.testing.assert_array_equal(read_photo(first.image), bars("ah"))


def test_an_image_is_named_by_its_content_and_both_files_are_flushed_to_the_disk(
    corrections, monkeypatch
):
    flushed = []
    new_file = corrections_module.new_file

    def watched(path, *, durable=False):
        flushed.append((path.suffix, durable))
        return new_file(path, durable=durable)

    monkeypatch.setattr(corrections_module, "new_file", watched)
    add(corrections, AH, None, "một")
    (image,) = (corrections.folder / "images").iterdir()
    assert image.name == hashlib.sha256(image.read_bytes()).hexdigest()[:32] + ".png"
    assert flushed == [(".png", True), (".csv", True)]


def test_a_new_label_replaces_the_old_one_and_keeps_other_columns(corrections):
    add(corrections, AH, None, "một")
    table = corrections.folder / "corrections.csv"
    rows = list(csv.reader(table.open(encoding="utf-8")))
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*rows[0], "writer"], [*rows[1], "An"]])
    assert add(corrections, AH, None, "hai") == 1
    assert add(corrections, encode(bars("bah")), None, "ba") == 2
    assert [(line.text, line.writer) for line in parse(table)] == [("hai", "An"), ("ba", "")]


@pytest.mark.parametrize("turns", range(4))
def test_the_stored_crop_is_that_of_the_reader(corrections, turns):
    page_HW = written_page()
    photo_HW = encode(np.ascontiguousarray(np.rot90(page_HW, turns)))
    for line in find_lines(page_HW):
        in_page = np.zeros(page_HW.shape, np.uint8)
        in_page[line.top : line.bottom, line.left : line.right] = 1
        rows, columns = np.nonzero(np.rot90(in_page, turns))
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        before = set((corrections.folder / "images").iterdir())
        add(corrections, photo_HW, tuple(map(int, box)), "dòng", (4 - turns) % 4)
        (stored,) = set((corrections.folder / "images").iterdir()) - before
        np.testing.assert_array_equal(read_photo(stored), crop_line(page_HW, line))
    with pytest.raises(NetchuError, match="no line in the box"):
        add(corrections, photo_HW, (1, 2, 30, 40), "dòng")


@pytest.mark.parametrize("label", ["", "  ", "a\x00b", "a\x1bb", "x" * 51, "\u202eabc"])
def test_invalid_labels_are_refused(corrections, label):
    with pytest.raises(NetchuError, match="1 to 50 characters"):
        add(corrections, AH, None, label)
    assert not list((corrections.folder / "images").iterdir())


@pytest.mark.parametrize("label", ["=1", ';"=', 'a;"=HYPERLINK(1)', "tổ 3;-1", "số 5, ngõ 2"])
def test_labels_round_trip_and_are_never_formulas(corrections, label):
    add(corrections, AH, None, label)
    assert training_labels(corrections) == [label]
    content = (corrections.folder / "corrections.csv").read_text(encoding="utf-8")
    for separator in ",;\t":
        for row in csv.reader(content.splitlines(), delimiter=separator):
            assert not any(cell.startswith(tuple("=-")) for cell in row)


def test_a_full_folder_accepts_only_new_labels_of_known_lines(tmp_path):
    store = CorrectionStore(tmp_path, max_corrections=1, max_label_length=50)
    with store.open():
        add(store, AH, None, "một")
        with pytest.raises(NetchuError, match="full with 1 corrections"):
            add(store, encode(bars("bah")), None, "hai")
        assert add(store, AH, None, "hai") == 1


@pytest.mark.parametrize("fails_at", ["image", "table"])
def test_a_full_disk_is_507_and_leaves_nothing(client, tmp_path, monkeypatch, fails_at):
    api = client(collect=tmp_path)
    assert post(api).status_code == 201
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write = Path.write_bytes

    def write_in_part(path, content):
        if (path.parent == tmp_path) == (fails_at == "table"):
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_in_part)
    for image in (encode(bars("bah")), AH):
        answer = post(api, "Huế", image)
        assert (answer.status_code, "No space left" in answer.text) == (507, True)
        found = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert found == before
    monkeypatch.undo()
    assert post(api, "Huế", encode(bars("bah"))).json() == {"corrections": 2}


def test_files_that_a_killed_server_left_half_written_are_removed_at_the_start(tmp_path):
    (tmp_path / "images").mkdir()
    left = [tmp_path / "corrections.csv.1.part", tmp_path / "images" / "a.png.1.part"]
    for path in left:
        path.write_bytes(b"x")
    with CorrectionStore(tmp_path, 9, 9).open():
        assert not [path for path in left if path.exists()]


def test_a_second_server_cannot_use_the_folder(corrections):
    with (
        pytest.raises(NetchuError, match="another process is writing"),
        CorrectionStore(corrections.folder, 9, 9).open(),
    ):
        pass


@pytest.mark.parametrize("content", ["image,text\na,b\n", "image,label\na,b,c\n", "\xff", '"'])
def test_an_invalid_table_is_not_changed(tmp_path, content):
    table = tmp_path / "corrections.csv"
    table.write_bytes(content.encode("latin-1"))
    with (
        pytest.raises(NetchuError, match="repair it or choose another --collect"),
        CorrectionStore(tmp_path, 9, 9).open(),
    ):
        pass
    assert table.read_bytes() == content.encode("latin-1")


ADD_FOREVER = """
import sys
from pathlib import Path
import numpy as np
from netchu.imaging.images import encode
from netchu.data.line_table import Skipped
from netchu.serve import corrections as corrections_module
from netchu.serve.corrections import CorrectionStore
store = CorrectionStore(Path(sys.argv[1]), 10**6, 50)
with store.open():
    for number in range(10**6):
        noise = np.random.default_rng(number).integers(0, 256, (16, 64), np.uint8)
        store.add(encode(noise), f"so {number}")
        print(number, flush=True)
"""


def test_no_acknowledged_correction_is_lost_by_a_kill(tmp_path):
    folder = tmp_path / "kept"
    for wait in (0.0, 0.013, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", ADD_FOREVER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        acknowledged = [0, *map(int, process.communicate()[0].split())]
        lines = list(parse(folder / "corrections.csv"))
        assert not [line for line in lines if isinstance(line, Skipped)]
        texts = [line.text for line in lines]
        assert {f"so {number}" for number in acknowledged} <= set(texts)
        with CorrectionStore(folder, 10**6, 50).open():
            pass


def post(api, label="Hà Nội", image=AH, **more):
    body = {"image": base64.b64encode(image).decode(), "label": label} | more
    return api.post("/api/corrections", json=body)


def test_corrections_are_stored_only_if_collected(client, tmp_path, bars_folder):
    assert post(client()).status_code == 404
    api = client(collect=tmp_path / "kept", limits=Limits(label_length=20))
    assert api.get("/api/models").json()["collecting"] is True
    answer = post(api)
    assert (answer.status_code, answer.json()) == (201, {"corrections": 1})
    size = Reader(bars_folder).read(AH).size
    assert post(api, "Huế", box=[0, 0, *size]).json() == {"corrections": 1}
    assert [line.text for line in parse(tmp_path / "kept")] == ["Huế"]
    with pytest.raises(NetchuError), exclusive_lock(tmp_path / "kept" / "corrections.csv"):
        pass


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"image": "?"}, "not base64"),
        ({"image": None}, "not a string"),
        ({"image": "aGVq"}, "not an image"),
        ({"label": 3}, "'label'"),
        ({"label": "x" * 501}, "500 characters"),
        ({"box": [1, 2, 3]}, "'box'"),
        ({"box": [True, 2, 3, 4]}, "'box'"),
        ({"turns": 4}, "'turns'"),
        ({"turns": True}, "'turns'"),
        ({"box": [10**30, 2, 3, 4]}, "no line in the box"),
    ],
)
def test_invalid_corrections_are_refused_with_a_reason(client, tmp_path, body, words):
    api = client(collect=tmp_path)
    content = {"image": base64.b64encode(AH).decode(), "label": "x"} | body
    answer = api.post("/api/corrections", json=content)
    assert (answer.status_code, words in answer.text) == (422, True), answer.text
    assert not (tmp_path / "corrections.csv").exists()


def test_a_form_is_refused(client, tmp_path):
    api = client(collect=tmp_path)
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = api.post("/api/corrections", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 415
