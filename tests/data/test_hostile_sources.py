"""Sources that are damaged on purpose: one line that names the file, soon and in little memory."""

import io
import json
import os
import tarfile
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import pytest

import archives
from netchu.core.errors import NetchuError
from netchu.data import archives as archives_module
from netchu.data.archives import tar_members
from netchu.data.fetch.uit_hwdb import fetch as fetch_uit_hwdb
from netchu.data.line_table import Line, Skipped
from netchu.data.parse import load_handwriting, truyen_kieu, vi_forms, vietnam_dataset
from netchu.data.parse.fonts import covered_characters


@contextmanager
def refused(match):
    """The block has to fail in one line, within some seconds and without much memory."""
    tracemalloc.start()
    begin = time.monotonic()
    with pytest.raises(NetchuError, match=match) as caught:
        yield
    assert time.monotonic() - begin < 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def members(path):
    return list(tar_members(path, "kalapa"))


def sparse_member(path, size):
    """An archive of a few hundred bytes with a file of `size` bytes, as GNU tar writes it."""
    header = tarfile.TarInfo("kalapa/images/1/1.jpg")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[345:504] = bytes(159)
    block[386:398], block[398:410] = b"00000000000\0", b"00000000000\0"
    block[483:495] = b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path.write_bytes(bytes(block) + bytes(1024))


def test_a_sparse_file_of_a_terabyte(tmp_path):
    path = tmp_path / "kalapa.tar"
    sparse_member(path, 10**12)
    with refused(r"kalapa\.tar is no archive of this source \('kalapa/images/1/1\.jpg' has 10{12}"):
        members(path)


def test_a_file_larger_than_any_in_a_source(tmp_path, monkeypatch):
    monkeypatch.setattr(archives_module, "MAX_MEMBER_BYTES", 1000)
    path = tmp_path / "kalapa.tar"
    archives.pack(path, {"a.jpg": bytes(1000)})
    assert len(members(path)) == 1
    archives.pack(path, {"a.jpg": bytes(1001)})
    with refused(r"'a\.jpg' has 1001 bytes, more than 1000"):
        members(path)


@pytest.mark.parametrize("suffix", ["tar", "tar.xz"])
def test_files_that_are_too_large_together(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(archives_module, "MAX_ARCHIVE_BYTES", 3000)
    path = tmp_path / f"kalapa.{suffix}"
    archives.pack(path, {"a.txt": bytes(1500), "b.txt": bytes(1500)})
    assert len(members(path)) == 2
    archives.pack(path, {"a.txt": bytes(1500), "b.txt": bytes(1500), "c.txt": bytes(1)})
    with refused(r"with 'c\.txt' it has more than 3000 bytes unpacked"):
        list(tar_members(path, "kalapa", ".jpg"))  # also if none of them is wanted


@pytest.mark.slow
def test_five_gigabytes_in_an_xz_of_less_than_one_megabyte(tmp_path):
    path = tmp_path / "kalapa.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        for number in range(5 * 2**30 // 2**27):
            member = tarfile.TarInfo(f"{number}.jpg")
            member.size = 2**27
            archive.addfile(member, io.BytesIO(bytes(2**27)))
    with pytest.raises(NetchuError, match="more than 4294967296 bytes unpacked"):
        for _ in tar_members(path, "kalapa"):
            pass


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory(tmp_path, kind):
    header = tarfile.TarInfo("name")
    header.type, header.size = kind, 2**30
    (tmp_path / "kalapa.tar").write_bytes(header.tobuf() + bytes(10_240))
    with refused(r"kalapa\.tar is truncated or not an archive \(a header of 1073741824 bytes\)"):
        members(tmp_path / "kalapa.tar")


def test_an_archive_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "kalapa.tar")
    with refused(r"kalapa\.tar is not a regular file"):
        members(tmp_path / "kalapa.tar")


def parse(source, folder):
    return list(load_handwriting(source).parse(folder, ("word", "line", "paragraph")))


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ("nan nan,nan nan", "a point that is not finite"),
        ("1e39 5,6 7", "a point that is not finite"),
        ("1 2,inf 4", "a point that is not finite"),
        ("5,6,7", "a point of one value"),
        ("5", "a point of one value"),
        ("1 2,3", "vnondb: .* is not InkML"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ink_points_that_are_none(tmp_path, points, told):
    ink = archives.inkml("id_1", archives.group("g", "xã", f"<trace>{points}</trace>"))
    archives.pack(tmp_path / "vnondb.tar.xz", {"InkData_line/a.inkml": ink})
    with refused(told):
        parse("vnondb", tmp_path)


def test_strokes_of_a_damaged_size_are_skipped(tmp_path):
    """Most strokes are enormous, the median line is not: no pen of a million pixels."""
    small = [archives.group(f"g{n}", "xã", archives.trace((0, 0), (50, 50))) for n in range(3)]
    huge = "".join(archives.trace((0, 0), (10**7, 10**7)) for _ in range(9))
    ink = archives.inkml("id_1", *small, archives.group("h", "xã", huge))
    archives.pack(tmp_path / "vnondb.tar.xz", {"InkData_line/a.inkml": ink})
    begin = time.monotonic()
    lines = parse("vnondb", tmp_path)
    assert time.monotonic() - begin < 10
    assert Skipped("vnondb-line-a-h", "ink far too large") in lines


@pytest.mark.parametrize("encoding", ["klingon", "utf-7", "utf-32"])
def test_xml_in_an_unknown_encoding(tmp_path, encoding):
    document = f'<?xml version="1.0" encoding="{encoding}"?><ink></ink>'
    archives.pack(tmp_path / "vnondb.tar.xz", {"InkData_line/a.inkml": document})
    with refused("is not InkML"):
        parse("vnondb", tmp_path)
    (tmp_path / "a.xml").write_text(document.replace("ink", "alto"))
    archives.alto(tmp_path / "pages")
    (tmp_path / "pages" / "b.xml").write_text(document.replace("ink", "alto"))
    (skipped,) = [s for s in parse("alto", tmp_path / "pages") if isinstance(s, Skipped)]
    assert skipped.id == "alto-b"
    assert skipped.reason.startswith("not an XML document that can be read")


@pytest.mark.parametrize(
    "document",
    [
        '<PcGts><Page imageFilename="1.jpg" imageWidth="wide" imageHeight="20"/></PcGts>',
        '<PcGts><Page imageFilename="1.jpg" imageWidth="0" imageHeight="20"/></PcGts>',
        '<PcGts><Page imageFilename="1.jpg" imageWidth="nan" imageHeight="20"/></PcGts>',
        '<PcGts><Page><TextLine><TextEquiv index="x"/></TextLine></Page></PcGts>',
        "<PcGts>" + "<a>" * 50_000 + "</a>" * 50_000 + "</PcGts>",
    ],
)
def test_a_damaged_document_is_skipped_and_the_others_are_read(tmp_path, document):
    archives.page(tmp_path)
    (tmp_path / "zz.xml").write_text(document)
    lines = parse("page", tmp_path)
    assert any(isinstance(line, Line) for line in lines)
    (skipped,) = [line for line in lines if getattr(line, "id", "") == "page-zz"]
    assert skipped.reason.startswith("not an XML document that can be read")


def test_coordinates_that_are_not_finite_are_none(tmp_path):
    archives.alto(tmp_path)
    for file in tmp_path.rglob("*.xml"):
        file.write_text(file.read_text().replace('HPOS="', 'HPOS="nan" OLD="'))
    skipped = [line for line in parse("alto", tmp_path) if isinstance(line, Skipped)]
    assert skipped
    assert {line.reason for line in skipped} == {"no coordinates"}


@pytest.mark.parametrize("image", ["x" * 300, "a/" * 3000, "/dev/zero", "."])
def test_an_image_that_no_document_has(tmp_path, image):
    archives.page(tmp_path, image=image)
    assert all(isinstance(line, Skipped) for line in parse("page", tmp_path))


@pytest.mark.parametrize("name", ["/dev/zero", "pipe.png", ".", "x" * 300, "nul\0.png"])
def test_a_table_that_names_no_regular_file(tmp_path, name):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "lines.csv").write_text(f"image,label\n{name},Hà Nội\n")
    try:
        ((skipped),) = parse("csv", tmp_path)
    except NetchuError as error:
        assert "is not a CSV file" in str(error)  # a null byte
    else:
        assert isinstance(skipped, Skipped)
        assert "\n" not in skipped.reason


def test_a_table_that_is_a_pipe_or_a_device(tmp_path):
    os.mkfifo(tmp_path / "lines.csv")
    with refused("is not a regular file"):
        parse("csv", tmp_path)
    with refused("no such table"):
        parse("csv", Path("/dev/zero"))


def test_a_table_of_a_terabyte(tmp_path):
    (tmp_path / "lines.csv").touch()
    os.truncate(tmp_path / "lines.csv", 10**12)
    with refused(r"lines\.csv has more than 1073741824 bytes; split it"):
        parse("csv", tmp_path)


def test_an_image_of_a_terabyte(tmp_path):
    (tmp_path / "big.png").touch()
    os.truncate(tmp_path / "big.png", 10**12)
    (tmp_path / "lines.csv").write_text("image,label\nbig.png,Hà Nội\n")
    (skipped,) = parse("csv", tmp_path)
    assert skipped.reason == "image is no file of at most 268435456 bytes: big.png"


DEEP = "[" * 100_000


@pytest.mark.parametrize("labels", [DEEP, "{", "\x00", '"text"'])
def test_labels_that_are_none(tmp_path, labels):
    archives.pack(tmp_path / "cinnamon.tar", {"Train/labels_train.json": labels})
    with refused(r"cinnamon: Train/labels_train\.json is not"):
        parse("cinnamon", tmp_path)


@pytest.mark.parametrize(
    "content",
    [DEEP, "[]", "{}", '{"name": 5, "district": 7}', '{"district": [{}], "name": ""}', b"\xff"],
)
def test_addresses_that_are_none(tmp_path, content):
    archives.pack(tmp_path / "vietnam_dataset.tar.xz", {"data/1.json": content})
    with refused(r"vietnam_dataset: data/1\.json is no list of districts"):
        vietnam_dataset.texts(tmp_path)


@pytest.mark.parametrize("content", [DEEP, "{}", "[5]", json.dumps([{"Wards": [{}]}])])
def test_wards_that_are_none(tmp_path, content):
    archives.pack(tmp_path / "vi_forms.tar.xz", {"units.json": content})
    with refused(r"vi_forms: (units\.json is not a list of provinces|.* has no)"):
        vi_forms.texts(tmp_path)


def test_verses_in_another_encoding(tmp_path):
    archives.truyen_kieu(tmp_path)
    (file,) = (path for path in tmp_path.iterdir() if path.suffix != ".json")
    file.write_bytes("Trăm năm trong cõi người ta".encode("utf-16"))
    with refused("is not UTF-8"):
        truyen_kieu.texts(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\0\1\0\0", b"\0\1\0\0" + bytes(100), b"OTTO\xff\xff" * 9]
)
def test_a_font_that_is_none(tmp_path, content):
    font = tmp_path / "a.ttf"
    font.write_bytes(content)
    with refused(r"a\.ttf is not a font"):
        covered_characters(font)


def test_a_pipe_in_an_unpacked_data_set(tmp_path):
    folder = tmp_path / "UIT_HWDB_line" / "train_data" / "1"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "1.jpg")
    with refused("holds no UIT_HWDB"):
        fetch_uit_hwdb(tmp_path / "out", folder=str(tmp_path))
