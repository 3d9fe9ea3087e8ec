"""Corrections: on the disk before they are acknowledged, whatever happens then."""

import base64
import csv
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from bar_model import bars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netchu import Reader
from netchu.core.errors import NetchuError
from netchu.core.locks import exclusive_lock
from netchu.core.text import normalise
from netchu.data.line_table import Skipped
from netchu.data.parse.csv import parse
from netchu.imaging.images import encode
from netchu.imaging.photos import read_photo
from netchu.inference.segmentation import cut, find_lines
from netchu.serve.corrections import Corrections
from netchu.serve.settings import Limits

AH = encode(bars("ah"))


@pytest.fixture
def corrections(tmp_path):
    kept = Corrections(tmp_path / "kept", most=100, longest=50)
    with kept.opened():
        yield kept


def learned(corrections):
    """What `netchu train --csv` finds."""
    return [line.text for line in parse(corrections.folder / "corrections.csv")]


def written_page():
    photo_HW = np.full((300, 900), 235, np.uint8)
    for place, text in enumerate(("hoa binh", "To 3 Lang")):
        cv2.putText(photo_HW, text, (60, 100 + 110 * place), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2,
                    30, 3)  # fmt: skip
    return photo_HW


def test_what_is_kept_is_a_table_to_train_with(corrections):
    assert corrections.keep(AH, None, "  Hà   Nội ") == 1
    assert corrections.keep(encode(bars("bah")), None, 'ngõ "5", Huế') == 2
    assert learned(corrections) == ["Hà Nội", 'ngõ "5", Huế']
    (first, _) = parse(corrections.folder / "corrections.csv")
    np.testing.assert_array_equal(read_photo(first.image), bars("ah"))


def test_a_line_corrected_again_has_its_last_label_and_other_columns_stay(corrections):
    corrections.keep(AH, None, "một")
    table = corrections.folder / "corrections.csv"
    rows = list(csv.reader(table.open(encoding="utf-8")))
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*rows[0], "writer"], [*rows[1], "An"]])
    assert corrections.keep(AH, None, "hai") == 1
    assert corrections.keep(encode(bars("bah")), None, "ba") == 2
    assert [(line.text, line.writer) for line in parse(table)] == [("hai", "An"), ("ba", "")]


def test_the_crop_is_what_the_reader_saw(corrections):
    page_HW = written_page()
    for photo_HW, turned in ((page_HW, False), (page_HW[::-1, ::-1], True)):
        for line in find_lines(page_HW):
            box = (line.left, line.top, line.right, line.bottom)
            if turned:
                box = (900 - box[2], 300 - box[3], 900 - box[0], 300 - box[1])
            corrections.keep(encode(np.ascontiguousarray(photo_HW)), box, "dòng")
            kept = {path.read_bytes() for path in (corrections.folder / "images").iterdir()}
            assert encode(np.ascontiguousarray(cut(page_HW, line))) in kept
    with pytest.raises(NetchuError, match="no line in the box"):
        corrections.keep(encode(page_HW), (1, 2, 30, 40), "dòng")


@pytest.mark.parametrize("label", ["", "  ", "a\x00b", "a\x1bb", "x" * 51, "\u202eabc"])
def test_what_is_no_label_is_refused(corrections, label):
    with pytest.raises(NetchuError, match="1 to 50 characters"):
        corrections.keep(AH, None, label)
    assert not list((corrections.folder / "images").iterdir())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    label=st.text(st.sampled_from("=+-@;,\"' \tạÀđ1|%＝\u200b\n\r"), min_size=1, max_size=12)
    | st.text(min_size=1, max_size=12)
)  # fmt: skip
def test_labels_come_back_and_no_spreadsheet_calculates(corrections, label):
    try:
        corrections.keep(AH, None, label)
    except NetchuError:
        return
    assert learned(corrections) == [normalise(label)]
    content = (corrections.folder / "corrections.csv").read_text(encoding="utf-8")
    for separator in ",;\t":
        for row in csv.reader(content.splitlines(), delimiter=separator):
            assert not any(cell.lstrip().startswith(tuple("=+-@＝＋－＠")) for cell in row)


def test_a_full_folder_takes_no_more_but_mends(tmp_path):
    kept = Corrections(tmp_path, most=1, longest=50)
    with kept.opened():
        kept.keep(AH, None, "một")
        with pytest.raises(NetchuError, match="1 corrections are kept already"):
            kept.keep(encode(bars("bah")), None, "hai")
        assert kept.keep(AH, None, "hai") == 1


def test_one_server_at_a_time(corrections):
    with (
        pytest.raises(NetchuError, match="another process is writing"),
        Corrections(corrections.folder, 9, 9).opened(),
    ):
        pass


@pytest.mark.parametrize("content", ["image,text\na,b\n", "image,label\na,b,c\n", "\xff", '"'])
def test_a_strange_table_is_not_touched(tmp_path, content):
    table = tmp_path / "corrections.csv"
    table.write_bytes(content.encode("latin-1"))
    with (
        pytest.raises(NetchuError, match="mend it or collect elsewhere"),
        Corrections(tmp_path, 9, 9).opened(),
    ):
        pass
    assert table.read_bytes() == content.encode("latin-1")


KEEPS = """
import sys
from pathlib import Path
import numpy as np
from netchu.imaging.images import encode
from netchu.data.line_table import Skipped
from netchu.serve.corrections import Corrections
kept = Corrections(Path(sys.argv[1]), 10**6, 50)
with kept.opened():
    for number in range(10**6):
        noise = np.random.default_rng(number).integers(0, 256, (16, 64), np.uint8)
        kept.keep(encode(noise), None, f"so {number}")
        print(number, flush=True)
"""


def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path):
    folder = tmp_path / "kept"
    for wait in (0.0, 0.013, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", KEEPS, str(folder)], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        acknowledged = [0, *map(int, process.communicate()[0].split())]
        lines = list(parse(folder / "corrections.csv"))
        assert not [line for line in lines if isinstance(line, Skipped)]
        texts = [line.text for line in lines]
        assert {f"so {number}" for number in acknowledged} <= set(texts)
        with Corrections(folder, 10**6, 50).opened():
            pass


def post(asking, label="Hà Nội", image=AH, **more):
    body = {"image": base64.b64encode(image).decode(), "label": label} | more
    return asking.post("/api/corrections", json=body)


def test_the_api_keeps_only_where_it_was_told_to(client, tmp_path, bars_folder):
    assert post(client()).status_code == 404
    asking = client(collect=tmp_path / "kept", limits=Limits(label=20))
    assert asking.get("/api/models").json()["collecting"] is True
    answer = post(asking)
    assert (answer.status_code, answer.json()) == (201, {"corrections": 1})
    size = Reader(bars_folder).read(AH).size
    assert post(asking, "Huế", box=[0, 0, *size]).json() == {"corrections": 1}
    assert [line.text for line in parse(tmp_path / "kept")] == ["Huế"]
    with pytest.raises(NetchuError), exclusive_lock(tmp_path / "kept" / "corrections.csv"):
        pass


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"image": "?"}, "not base64"),
        ({"image": None}, "no string"),
        ({"image": "aGVq"}, "not an image"),
        ({"label": 3}, "'label'"),
        ({"label": "x" * 501}, "500 characters"),
        ({"box": [1, 2, 3]}, "'box'"),
        ({"box": [True, 2, 3, 4]}, "'box'"),
        ({"box": [10**30, 2, 3, 4]}, "no line in the box"),
    ],
)
def test_a_wrong_correction_is_told_what_is_wrong(client, tmp_path, body, words):
    asking = client(collect=tmp_path)
    told = {"image": base64.b64encode(AH).decode(), "label": "x"} | body
    answer = asking.post("/api/corrections", json=told)
    assert (answer.status_code, words in answer.text) == (422, True), answer.text
    assert not (tmp_path / "corrections.csv").exists()


def test_a_strangers_form_keeps_nothing(client, tmp_path):
    asking = client(collect=tmp_path)
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = asking.post("/api/corrections", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 415
