"""Parsing Kalapa, Cinnamon and VNOnDB from small archives in their formats."""

import io
import json
import tarfile
import unicodedata

import cv2
import numpy as np
import pytest

import archives
from netchu.core.errors import NetchuError
from netchu.core.params import DatasetParams
from netchu.data.line_table import Line, Skipped, read_skipped, read_table
from netchu.data.parse.handwriting import cinnamon, kalapa, vnondb
from netchu.data.preprocessing import preprocess
from netchu.imaging.images import decode
from netchu.imaging.strokes import Pen

LEVELS = ("word", "line", "paragraph")


def reasons(parsed):
    return {line.id: line.reason for line in parsed if isinstance(line, Skipped)}


def test_kalapa_writer_text_and_bytes(tmp_path):
    archives.kalapa(tmp_path)
    lines = list(kalapa.parse(tmp_path))
    assert [line.id for line in lines[:2]] == ["kalapa-1-0", "kalapa-1-1"]
    assert {line.writer for line in lines} == {"1", "2"}
    assert lines[4].text == "Xã Tân 21"
    assert lines[4].image == archives.photo(201)
    assert (lines[0].width, lines[0].height, lines[0].split) == (60, 20, "")


def test_kalapa_in_the_upstream_archive(tmp_path):
    archives.kalapa(tmp_path / "a")
    archives.kalapa(tmp_path / "b", top="Kalapa2023-748ff0/dataset/training_data")
    assert list(kalapa.parse(tmp_path / "a")) == list(kalapa.parse(tmp_path / "b"))


def test_kalapa_lines_that_cannot_be_used_are_skipped_with_a_reason(tmp_path):
    archives.kalapa(
        tmp_path,
        changes={
            "training_data/images/1/0.jpg": b"no image",
            "training_data/images/1/1.jpg": None,
            "training_data/images/2/9.jpg": archives.photo(9),
        },
    )
    parsed = list(kalapa.parse(tmp_path))
    assert reasons(parsed) == {
        "kalapa-1-0": "not an image, or damaged",
        "kalapa-1-1": "label without an image",
        "kalapa-2-9": "image without a label",
    }
    assert len(parsed) == 7


def test_kalapa_photos_in_a_folder_without_annotations_are_no_lines_without_a_label(tmp_path):
    # Upstream holds photos of the competition's tests; their writers have the same numbers.
    changes = {f"public_test/images/1/{n}.jpg": archives.photo(900 + n) for n in range(4)}
    archives.kalapa(tmp_path, changes=changes)
    parsed = list(kalapa.parse(tmp_path))
    lines = [line for line in parsed if isinstance(line, Line)]
    assert [line.image for line in lines[:2]] == [archives.photo(100), archives.photo(101)]
    assert len(lines) == 6
    assert reasons(parsed) == {
        f"kalapa-public_test-1-{n}": "in a folder without annotations: public_test"
        for n in range(4)
    }


def test_kalapa_folders_with_annotations_of_their_own_are_read(tmp_path):
    changes = {"public_test/images/1/0.jpg": archives.photo(900),
               "public_test/annotations/1.txt": "1/0.jpg\tTổ 5\n"}  # fmt: skip
    archives.kalapa(tmp_path, changes=changes)
    lines = {line.id: line for line in kalapa.parse(tmp_path)}
    assert (lines["kalapa-1-0"].text, lines["kalapa-1-0"].writer) == ("Xã Tân 10", "1")
    other = lines["kalapa-public_test-1-0"]
    assert (other.text, other.writer) == ("Tổ 5", "public_test-1")


def test_nfd_labels_become_nfc(tmp_path):
    rows = unicodedata.normalize("NFD", "1/0.jpg\tPhường Điện Biên")
    archives.kalapa(tmp_path, changes={"training_data/annotations/1.txt": rows})
    first = next(iter(kalapa.parse(tmp_path)))
    assert isinstance(first, Line)
    assert first.text == "Phường Điện Biên"


def test_a_colour_image_becomes_grey(tmp_path):
    archives.kalapa(tmp_path, changes={"training_data/images/1/0.jpg": archives.photo(1, True)})
    first = next(iter(kalapa.parse(tmp_path)))
    assert isinstance(first, Line)
    assert cv2.imdecode(np.frombuffer(first.image, np.uint8), cv2.IMREAD_UNCHANGED).ndim == 2


@pytest.mark.parametrize("module", [kalapa, cinnamon, vnondb])
def test_an_archive_without_labels_is_an_error(module, tmp_path):
    archives.pack(tmp_path / module.SOURCE.file, {"readme.md": "moved"})
    with pytest.raises(NetchuError, match="download it again"):
        list(module.parse(tmp_path))


def test_kalapa_labels_that_are_not_utf_8_are_named(tmp_path):
    archives.kalapa(tmp_path, changes={"training_data/annotations/1.txt": b"1/0.jpg\t\xff"})
    with pytest.raises(NetchuError, match=r"annotations/1\.txt is not UTF-8"):
        list(kalapa.parse(tmp_path))


@pytest.mark.parametrize("labels", ['{"0.jpg": "a"', "[1, 2]", b"\xff\xfe{}"])
def test_cinnamon_labels_that_are_not_json_are_named(tmp_path, labels):
    archives.pack(tmp_path / "cinnamon.tar", {"1015_Private Test/labels.json": labels})
    with pytest.raises(NetchuError, match=r"1015_Private Test/labels\.json") as error:
        list(cinnamon.parse(tmp_path))
    assert "\n" not in str(error.value)


def test_cinnamon_empty_labels_and_images_are_skipped(tmp_path):
    part = "1015_Private Test"
    labels = {"a.jpg": " \u200b", "b.jpg": None, "c.jpg": "có"}
    archives.pack(
        tmp_path / "cinnamon.tar",
        {f"{part}/labels.json": json.dumps(labels), f"{part}/a.jpg": archives.photo(1),
         f"{part}/b.jpg": archives.photo(2), f"{part}/c.jpg": b""},
    )  # fmt: skip
    assert reasons(cinnamon.parse(tmp_path)) == {
        "cinnamon-1015-a": "empty label",
        "cinnamon-1015-b": "empty label",
        "cinnamon-1015-c": "not an image, or damaged",
    }


def test_cinnamon_official_test_in_both_layouts(tmp_path):
    archives.cinnamon(tmp_path / "a")
    archives.cinnamon(
        tmp_path / "b", ("ocr-5eeede/Train", "labels_train.json"),
        ("ocr-5eeede/Test", "labels_test.json"), ".png",
    )  # fmt: skip
    archives.cinnamon(
        tmp_path / "c", ("ocr-5eeede/Train", "../labels_train.json"),
        ("ocr-5eeede/Test", "../labels_test.json"), ".png",
    )  # fmt: skip
    for layout in "abc":
        lines = list(cinnamon.parse(tmp_path / layout))
        assert [line.split for line in lines] == [""] * 4 + ["test"] * 4
        assert [line.text for line in lines[3:5]] == ["Số 03, Hà Nội", "Số 10, Hà Nội"]
        assert {line.writer for line in lines} == {""}


def test_vnondb_draws_all_levels_at_the_scale_of_the_lines(tmp_path):
    archives.vnondb(tmp_path)
    lines = {line.id: line for line in vnondb.parse(tmp_path, LEVELS)}
    assert sorted(line.level for line in lines.values()) == (
        ["line"] * 2 + ["paragraph"] * 2 + ["word"] * 4
    )
    word = lines["vnondb-word-20140101_1_X-tg_0_0_1"]
    assert (word.text, word.writer, word.height) == ("xu", "id_2", 64)
    drawn = decode(word.image, "word")
    rows = np.flatnonzero(drawn.min(axis=1) < 128)
    assert drawn.shape == (64, word.width)
    assert drawn.max() == 255
    assert rows[-1] - rows[0] < 32, "a low word is drawn at its line's scale"


def test_vnondb_strokes_keep_their_geometry():
    style = vnondb.DrawingStyle(scale=0.1, pen=Pen(2.0), shade=0)
    drawn = vnondb.draw_page([np.array([[0, 0], [1000, 560]], np.float32)], style, seed=0)
    assert drawn.shape[0] == 64
    rows, columns = np.nonzero(drawn < 128)
    assert columns.max() - columns.min() == pytest.approx(100, abs=4)
    assert np.polyfit(columns, rows, 1)[0] == pytest.approx(0.56, abs=0.02)
    assert drawn[rows.min(), columns.max()] == 255


def test_vnondb_a_dot_is_drawn():
    style = vnondb.DrawingStyle(scale=0.1, pen=Pen(2.0), shade=0)
    assert vnondb.draw_page([np.array([[5, 5]], np.float32)], style, seed=0).min() < 128


def test_vnondb_yields_only_the_given_levels(tmp_path):
    archives.vnondb(tmp_path)
    for level in LEVELS:
        assert {line.level for line in vnondb.parse(tmp_path, (level,))} == {level}


def test_vnondb_lines_that_cannot_be_used_are_skipped_with_a_reason(tmp_path):
    flaws = archives.inkml(
        "id_3", archives.group("tg_0", "có", "<trace></trace>"),
        archives.group("tg_1", " ", archives.trace((0, 0), (9, 9))),
        archives.group("tg_2", "to", archives.trace((0, 0), (90_000_000, 900))),
        archives.group("tg_3", "ừ", archives.trace((0, 0), (9, 1000))),
    )  # fmt: skip
    archives.vnondb(
        tmp_path,
        extra={"InkData_line/f.inkml": flaws, "InkData_word/alone.inkml": flaws},
    )
    assert reasons(vnondb.parse(tmp_path, ("word", "line"))) == {
        "vnondb-line-f-tg_0": "no ink",
        "vnondb-line-f-tg_1": "empty label",
        "vnondb-line-f-tg_2": "ink far too large",
        "vnondb-word-alone": "session without lines",
    }


@pytest.mark.parametrize("content", ["<ink><trace", archives.inkml(
    "id_3", archives.group("tg_0", "có", "<trace>1 2,3</trace>"))])  # fmt: skip
def test_a_damaged_vnondb_file_is_named(tmp_path, content):
    archives.vnondb(tmp_path, extra={"InkData_line/broken.inkml": content})
    with pytest.raises(NetchuError, match=r"InkData_line/broken\.inkml"):
        list(vnondb.parse(tmp_path))


def test_an_archive_found_truncated_while_parsing_is_an_error(tmp_path):
    archives.vnondb(tmp_path)
    path = tmp_path / "vnondb.tar.xz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(NetchuError, match="truncated"):
        list(vnondb.parse(tmp_path))


def test_parsing_before_fetching_is_an_error(tmp_path):
    with pytest.raises(NetchuError, match="does not exist"):
        list(kalapa.parse(tmp_path))


@pytest.mark.parametrize("name", ["kalapa", "vnondb"])
def test_splits_of_the_table_are_by_writer(tmp_path, name):
    writers = tuple(str(n) for n in range(1, 11))
    getattr(archives, name)(tmp_path, writers)
    params = DatasetParams(
        source=name, input=str(tmp_path), levels=("line",), val_share=0.1, test_share=0.2
    )
    preprocess(params, name, 3, tmp_path / "table")
    table = read_table(tmp_path / "table")
    assert table.groupby("writer")["split"].nunique().max() == 1
    assert table.groupby("split")["writer"].nunique().to_dict() == {"train": 7, "val": 1, "test": 2}


def test_skipped_lines_are_listed_with_reasons(tmp_path):
    rows = "1/0.jpg\tŷ lạ\n1/1.jpg\t\n1/2.jpg\tđược"
    archives.kalapa(
        tmp_path, tuple("12345"),
        changes={"training_data/annotations/1.txt": rows,
                 "training_data/images/2/0.jpg": b"no image",
                 "training_data/images/2/1.jpg": archives.photo(202)},
    )  # fmt: skip
    preprocess(DatasetParams(source="kalapa", input=str(tmp_path)), "kalapa", 3, tmp_path / "out")
    assert {line.id: line.reason for line in read_skipped(tmp_path / "out")} == {
        "kalapa-1-0": "outside the alphabet: 'ŷ' (U+0177)",
        "kalapa-1-1": "empty label",
        "kalapa-2-0": "not an image, or damaged",
        "kalapa-2-2": "repeated image: kalapa-2-1",
    }


def test_folders_in_an_archive_are_ignored(tmp_path):
    archives.kalapa(tmp_path)
    with tarfile.open(tmp_path / "kalapa.tar", "a") as archive:
        folder = tarfile.TarInfo("training_data/images/3.jpg")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        archive.addfile(tarfile.TarInfo("training_data/empty.bin"), io.BytesIO())
    assert len(list(kalapa.parse(tmp_path))) == 6
