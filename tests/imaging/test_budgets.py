"""Files that declare more than their width and height are refused before they are decoded."""

import io
import struct
import time

import numpy as np
import pytest
from PIL import Image

import hostile_images as hostile
from netchu.core.errors import NetchuError
from netchu.imaging import budgets
from netchu.imaging.photos import Page, load_photo, photo_name

JPEG_7 = {259: 7}
"""Compression of a TIFF whose strips are JPEGs."""


def saved(form, size=(64, 48), **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (hostile.progressive_jpeg(1_501), "scans"),
        (hostile.huge_tile_tiff(), "tiles"),
        (hostile.huge_tile_tiff(2**13, 2**13 + 1), "tiles"),
        (hostile.huge_tile_tiff(2**31, 2**31), "tiles"),
        (hostile.tiff((4000, 4000), JPEG_7, b"\xff\xda" * 94), "scans"),
    ],
)
def test_what_a_file_declares_is_bounded(content, words):
    begin = time.perf_counter()
    with pytest.raises(NetchuError, match="the image: it declares .*" + words):
        load_photo(content)
    assert time.perf_counter() - begin < 2


@pytest.mark.parametrize(
    "content",
    [hostile.webp_canvas(10_001, 10_000), hostile.jpeg2000((30_001, 64), (30_001, 64))],
)
def test_a_canvas_counts_before_the_file_is_opened(content):
    with pytest.raises(NetchuError, match="more than 100 megapixels"):
        load_photo(content)


@pytest.mark.parametrize(
    ("codestream", "is_large"),
    [
        (hostile.jpeg2000((64, 64), (1, 1)), False),
        (hostile.jpeg2000((64, 65), (1, 1)), True),  # tiles
        (hostile.jpeg2000((64, 64), (64, 64), 4), False),
        (hostile.jpeg2000((64, 64), (64, 64), 5), True),  # components
        (hostile.jpeg2000((30_001, 1), (30_001, 1)), True),
        (hostile.jpeg2000((20_000, 5_001), (20_000, 5_001)), True),
        (hostile.jpeg2000((64, 64), (0, 0)), False),
    ],
)
def test_every_codestream_of_a_jpeg_2000_file_counts(codestream, is_large):
    class File:
        format, size = "JPEG2000", (64, 64)

    content = hostile.jpeg2000((64, 64), (64, 64)) + b"x" + codestream
    assert budgets.exceeds_budget(File, lambda: content, 10**8, 30_000) is is_large


@pytest.mark.parametrize("form", ["lossy", "lossless", "alpha"])
def test_the_size_of_a_webp_file_is_read_from_its_head(form):
    content = saved("WEBP", (301, 47), lossless=form == "lossless")
    if form == "alpha":
        file = io.BytesIO()
        Image.new("RGBA", (301, 47), (1, 2, 3, 4)).save(file, "WEBP")
        content = file.getvalue()
    assert budgets.webp_size(content[:1024]) == (301, 47)
    assert budgets.webp_size(content[:29]) is None
    assert budgets.webp_size(saved("PNG")) is None


def test_ordinary_files_are_within_the_budgets():
    pictures = [
        saved("JPEG", (3000, 2000), progressive=True),
        saved("TIFF", compression="jpeg"),
        saved("TIFF", compression="tiff_lzw"),
        saved("TIFF"),
        saved("JPEG2000"),
        saved("JPEG2000", tile_size=(16, 16)),
        saved("WEBP"),
        hostile.huge_tile_tiff(64, 64),
        hostile.tiff((64, 64), {278: 2**31}, bytes(4096)),
        hostile.progressive_jpeg(200, (64, 64)),
    ]
    for content in pictures:
        assert load_photo(content).pixels_HW.size


def test_tags_of_other_types_are_a_damaged_image():
    content = bytearray(hostile.tiff((64, 64), {}, bytes(4096)))
    begin = struct.unpack_from("<I", content, 4)[0] + 2
    for at in range(begin, len(content) - 4, 12):
        if struct.unpack_from("<H", content, at)[0] == 278:
            struct.pack_into("<H", content, at + 2, 2)  # text
    with pytest.raises(NetchuError, match="damaged"):
        load_photo(bytes(content))


def test_too_little_memory_is_said(monkeypatch):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr("netchu.imaging.photos.decode", fail)
    with pytest.raises(NetchuError, match="not enough memory"):
        load_photo(saved("PNG"))


def test_photos_have_names_in_messages():
    assert photo_name("a.png") == "a.png"
    assert photo_name(Page("a.tif", 2)) == "a.tif#2"
    assert photo_name(Page(b"", 2)) == "page 2 of the image"
    assert photo_name(b"") == photo_name(np.zeros(1)) == "the image"
