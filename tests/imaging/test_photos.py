import base64
import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from netchu.core.errors import NetchuError
from netchu.data.line_table import Skipped
from netchu.data.parse.photo_lines import photo_line
from netchu.imaging import photos
from netchu.imaging.images import decode
from netchu.imaging.photos import MAX_SIDE, Page, list_pages, load_photo, read_photo


def page(height=30, width=50):
    """Grey paper, darker to the right, with a black corner at the top left."""
    shades = np.linspace(250, 150, width).astype(np.uint8)
    photo_HW = np.repeat(shades[None], height, 0)
    photo_HW[:10, :20] = 0
    return photo_HW


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def colour():
    return Image.fromarray(np.dstack([page(), page() - page() // 4, page()]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("image", [Image.fromarray(page()), colour()], ids=["grey", "colour"])
def test_plain_images_have_the_same_pixels_as_in_training(kind, image, tmp_path):
    content = saved(image, kind)
    path = tmp_path / "photo"
    path.write_bytes(content)
    for source in (content, path, str(path)):
        photo_HW = read_photo(source)
        np.testing.assert_array_equal(photo_HW, decode(content, "line"))
        assert photo_HW.dtype == np.uint8


HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA"
    "AAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAAG8AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABo"
    "dmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEA"
    "GEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAAD"
    "AIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAMgAAAAEA"
    "AAAeAAAAAf////IAAAAC////3gAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAd21k"
    "YXQAAABrKAGvCch444LAJBVUN/8iTKZ/0r6brvgA7DMoov6n5Jevxl4SVteSQvy3DBD/vZoyw1oW6fxfKnVEZQ9EmAXm"
    "K+T7rPsioYtQ1pW6HyoHYEuK9a034T9Y4EQ9lCsZnL9A5g1aEENQ4AGAY7E="
)
"""`page()`; no package of the tests writes HEIC."""


def deep_colour(kind, factor):
    """`colour()` with 16 bits for each colour."""
    deep_HWC = np.asarray(colour())[..., ::-1].astype(np.uint16) * factor
    return cv2.imencode(f".{kind}", deep_HWC)[1].tobytes()


RGBA = np.dstack([np.zeros((30, 50, 3), np.uint8), np.where(page() > 0, 0, 255).astype(np.uint8)])
INK = Image.fromarray(RGBA)
"""Black in the top left corner, and transparent black everywhere else."""
KINDS = {
    "CMYK JPEG": saved(colour().convert("CMYK"), "JPEG"),
    "CMYK TIFF": saved(colour().convert("CMYK"), "TIFF"),
    "16-bit PNG": saved(Image.fromarray(page().astype(np.uint16) * 257), "PNG"),
    "12 of 16 bits TIFF": saved(Image.fromarray(page().astype(np.uint16) * 16), "TIFF"),
    "32-bit TIFF": saved(Image.fromarray(page().astype(np.int32)), "TIFF"),
    "float TIFF": saved(Image.fromarray(page().astype(np.float32) / 255), "TIFF"),
    "black and white": saved(Image.fromarray(page() > 0), "PNG"),
    "palette": saved(colour().quantize(8), "PNG"),
    "palette with a hole": saved(INK.quantize(4), "PNG"),
    "grey with alpha": saved(INK.convert("LA"), "PNG"),
    "alpha PNG": saved(INK, "PNG"),
    "alpha WebP": saved(INK, "WEBP", lossless=True),
    "one colour is clear": saved(Image.fromarray(page()), "PNG", transparency=150),
    "BMP": saved(colour(), "BMP"),
    "PPM": saved(colour(), "PPM"),
    "GIF": saved(colour(), "GIF"),
    "deep colour PNG": deep_colour("png", 257),
    "12 of 16 bits colour PNG": deep_colour("png", 16),
    "12 of 16 bits colour TIFF": deep_colour("tiff", 16),
    "float TIFF to 255": saved(Image.fromarray(page().astype(np.float32)), "TIFF"),
    "mask of 0 and 1 PNG": saved(Image.fromarray((page() > 0).astype(np.uint8)), "PNG"),
    "mask of 0 and 1 TIFF": saved(Image.fromarray((page() > 0).astype(np.uint8)), "TIFF"),
    "mask of 0 and 1 in floats": saved(Image.fromarray((page() > 0).astype(np.float32)), "TIFF"),
    "JPEG 2000": saved(colour(), "JPEG2000"),
    "AVIF": saved(colour(), "AVIF"),
    "HEIC": base64.b64decode(HEIC),
    "two JPEGs in one": saved(colour(), "MPO", save_all=True, append_images=[colour()]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_ink_is_dark_on_light_paper_in_every_format(kind):
    photo_HW = read_photo(KINDS[kind])
    assert (photo_HW.shape, photo_HW.dtype) == ((30, 50), np.uint8)
    assert photo_HW[:8, :16].max() < 30
    assert photo_HW[12:, :].min() > 120
    assert photo_HW[:, 26:].min() > 120


@pytest.mark.parametrize("kind", KINDS)
def test_training_reads_the_same_pixels_of_every_format(kind):
    line = photo_line("mine-1", KINDS[kind], "a", "", "")
    np.testing.assert_array_equal(decode(line.image, "line"), read_photo(KINDS[kind]))


def test_sixteen_bits_are_reduced_to_the_upper_eight_in_use():
    np.testing.assert_array_equal(read_photo(KINDS["16-bit PNG"]), page())
    np.testing.assert_array_equal(read_photo(KINDS["12 of 16 bits TIFF"]), page())


def test_transparent_paper_is_white():
    assert (read_photo(KINDS["alpha PNG"])[12:] == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_of_an_animation_is_read(kind):
    others = [Image.fromarray(255 - page()), Image.new("L", (50, 30), 90)]
    frames = saved(Image.fromarray(page()), kind, save_all=True, append_images=others)
    assert getattr(Image.open(io.BytesIO(frames)), "is_animated", False)
    assert np.abs(read_photo(frames).astype(int) - page()).mean() < 8
    assert list_pages(frames) == [frames]
    assert read_photo(Page(frames, 3)).max() < 100


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA")])
def test_the_exif_orientation_is_applied(orientation, kind, mode):
    upright = page()
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: np.rot90(upright.T, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored)).convert(mode)
    photo_HW = read_photo(saved(image, kind, exif=exif))
    assert photo_HW.shape == upright.shape
    assert np.abs(photo_HW.astype(int) - upright).mean() < 8
    np.testing.assert_array_equal(read_photo(with_exif(image, exif)).shape, upright.shape)


def with_exif(image, exif):
    image.getexif().update(exif)
    return image


@pytest.mark.parametrize(
    "pixels",
    [
        page(), page()[:, :, None], np.dstack([page()] * 3), page().astype(np.uint16) * 257,
        page().astype(np.int64), page() / 255, (page() / 255).astype(np.float32),
        np.asfortranarray(page()), np.dstack([page() // 2] * 3 + [page() * 0 + 255])[..., :3] * 2,
    ],
)  # fmt: skip
def test_arrays_of_every_dtype_and_shape_are_read(pixels):
    before = pixels.copy()
    photo_HW = read_photo(pixels)
    assert np.abs(photo_HW.astype(int) - page()).max() <= 1
    assert photo_HW.flags.c_contiguous
    np.testing.assert_array_equal(pixels, before)


def test_boolean_arrays_and_arrays_with_alpha_are_read():
    np.testing.assert_array_equal(read_photo(page() > 0), np.where(page() > 0, 255, 0))
    np.testing.assert_array_equal(read_photo(RGBA), np.where(page() > 0, 255, 0))


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((3, 4, 5), np.uint8), r"shape \(3, 4, 5\)"),
        (np.zeros(7, np.uint8), r"shape \(7,\)"),
        (np.zeros((0, 9), np.uint8), "no pixels"),
        (np.full((4, 4), 2.0), "between 0 and 1"),
        (np.full((4, 4), -0.5), "between 0 and 1"),
        (np.full((4, 4), np.nan), "between 0 and 1"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.array([["a"]]), "has dtype"),
        (np.zeros((1, MAX_SIDE + 1), np.uint8), "a side of more than 30000 px"),
        (None, "a NoneType is not a photo"),
        (Image.new("L", (MAX_SIDE + 1, 1)), "a side of more than 30000 px"),
        (Image.new("L", (0, 3)), "no pixels"),
    ],
)
def test_arguments_that_are_not_photos_are_errors(pixels, reason):
    with pytest.raises(NetchuError, match=reason):
        read_photo(pixels)


def error_message(source):
    with pytest.raises(NetchuError) as caught:
        read_photo(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@given(share=st.floats(0, 0.98))
@settings(max_examples=25, deadline=None)
def test_a_truncated_file_is_an_error(kind, share):
    content = saved(colour(), kind)
    assert "not an image, or damaged" in error_message(content[: int(share * len(content))])


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff",
       b"GIF89a", b"RIFF....WEBPVP8 ", b"BM", b"II*\x00", b"P5 "]))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_a_photo_or_a_one_line_error(garbage, head):
    try:
        assert read_photo(head + garbage).ndim == 2
    except NetchuError as error:
        assert "the image: " in str(error)
        assert "\n" not in str(error)


def test_libraries_print_nothing(capfd):
    error_message(saved(colour(), "PNG")[:-30])
    error_message(saved(colour(), "JPEG")[:-30])
    error_message(b"hello")
    assert capfd.readouterr() == ("", "")


def test_paths_that_are_not_images_are_named(tmp_path):
    assert (
        error_message(tmp_path / "gone.jpg") == f"{tmp_path}/gone.jpg: no such file; check the path"
    )
    assert error_message(str(tmp_path)).startswith(f"{tmp_path} is a folder")
    assert error_message("/dev/zero").startswith("/dev/zero is not a regular file")
    assert "cannot be read" in error_message("a\0b")
    assert "cannot be read" in error_message("x" * 5000)
    text = tmp_path / "notes.txt"
    text.write_text("not an image")
    assert error_message(text).startswith(f"{text}: not an image")
    text.write_bytes(b"")
    assert error_message(text).startswith(f"{text}: not an image")


def test_a_file_that_is_too_large_is_an_error(tmp_path):
    path = tmp_path / "disk.img"
    with path.open("wb") as stream:
        stream.truncate(2**33)  # sparse
    assert "more than 256 MB" in error_message(path)


def white_png(width, height, rows):
    """A black-and-white PNG whose header says `height` and that holds the pixels of `rows`."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * (-(-width // 8))
    packed = b"".join(packer.compress(row * 100) for _ in range(rows // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("size", [(60_000, 60_000), (29_000, 29_000), (12_000, 9_000)])
def test_a_decompression_bomb_is_rejected_before_it_is_decoded(size):
    content = white_png(*size, 100)
    begin = time.perf_counter()
    assert "more than 100 megapixels" in error_message(content)
    assert time.perf_counter() - begin < 0.5


MEASURED = """
import resource, sys, warnings
warnings.simplefilter("error")
from netchu.imaging.photos import read_photo
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = read_photo(sys.argv[1])
print(photo.shape, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_the_largest_photo_needs_a_few_bytes_per_pixel_and_warns_of_nothing(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(white_png(12_000, 8_300, 8_300))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True
    )
    shape, megabytes = done.stdout.rsplit(maxsplit=1)
    assert shape == "(8300, 12000)"
    assert int(megabytes) < 400
    assert done.stderr == ""


def test_the_smallest_and_the_widest_photo_are_read():
    assert read_photo(saved(Image.new("L", (1, 1), 7), "PNG")).tolist() == [[7]]
    wide = np.full((20, MAX_SIDE), 200, np.uint8)
    assert read_photo(saved(Image.fromarray(wide), "PNG")).shape == wide.shape


def test_a_path_and_its_string_give_the_same_photo(tmp_path):
    path = tmp_path / "chữ viết.png"
    cv2.imencode(".png", page())[1].tofile(path)
    np.testing.assert_array_equal(read_photo(Path(path)), read_photo(str(path)))


def scan(kind, shades, **options):
    """A file with a page of each shade."""
    first, *others = (Image.new("L", (300, 200), shade) for shade in shades)
    return saved(first, kind, save_all=True, append_images=others, **options)


@pytest.mark.parametrize("kind", ["TIFF", "PDF"])
def test_every_page_of_a_file_is_read_and_has_a_name(kind, tmp_path):
    path = tmp_path / f"scan.{kind.lower()}"
    path.write_bytes(scan(kind, [40, 120, 200]))
    for source in (path, str(path), path.read_bytes()):
        pages = list_pages(source)
        assert pages == [Page(source, 1), Page(source, 2), Page(source, 3)]
        shades = [int(np.median(read_photo(page))) for page in pages]
        np.testing.assert_allclose(shades, [40, 120, 200], atol=3)
    np.testing.assert_array_equal(read_photo(f"{path}#2"), read_photo(Page(path, 2)))
    assert list_pages(f"{path}#2") == [f"{path}#2"]
    assert len(list_pages(path, limit=2)) == 2


@pytest.mark.parametrize("kind", ["TIFF", "PDF"])
def test_a_page_that_is_not_named_or_not_there_is_an_error(kind, tmp_path):
    path = tmp_path / "scan"
    path.write_bytes(scan(kind, [40, 120]))
    assert error_message(path) == f"{path} has 2 pages; name one, as in '{path}#1'"
    assert error_message(path.read_bytes()) == "the image has 2 pages; save each to a file"
    for number in (0, 3):
        assert f"has no page {number}; its pages are 1 to 2" in error_message(f"{path}#{number}")
    line = photo_line("mine-1", path.read_bytes(), "a", "", "")
    assert line == Skipped("mine-1", "has 2 pages")


def test_a_damaged_page_is_named(tmp_path):
    path = tmp_path / "scan.tif"
    whole = scan("TIFF", [40, 120, 200])
    path.write_bytes(whole[: round(0.6 * len(whole))])
    assert list_pages(path) == [Page(path, 1), Page(path, 2), Page(path, 3)]
    assert read_photo(Page(path, 1)).size
    assert error_message(Page(path, 2)).startswith(f"{path}#2: not an image, or damaged")
    assert error_message(f"{path}#3").startswith(f"{path}#3: not an image")
    assert error_message(Page(path.read_bytes(), 2)).startswith("page 2 of the image: not an")


def test_a_file_whose_name_ends_like_a_page_is_that_file(tmp_path):
    (tmp_path / "scan#2").write_bytes(saved(Image.new("L", (30, 20), 70), "PNG"))
    assert read_photo(tmp_path / "scan#2").max() == 70
    assert "scan: no such file" in error_message(tmp_path / "scan#3")


def test_smaller_copies_of_a_tiff_page_are_not_pages():
    content = io.BytesIO()
    page_image = Image.fromarray(page())
    small = page_image.resize((25, 15))
    small.encoderinfo = {"tiffinfo": {photos.NEW_SUBFILE_TYPE: 1}}
    page_image.save(content, "TIFF", save_all=True, append_images=[small])
    assert Image.open(content).n_frames == 2
    assert list_pages(content.getvalue()) == [content.getvalue()]
    np.testing.assert_array_equal(read_photo(content.getvalue()), page())


def test_a_page_of_a_pdf_is_rendered_at_300_dpi():
    a4 = saved(Image.new("L", (210, 297), 255), "PDF", resolution=25.4)
    np.testing.assert_allclose(read_photo(a4).shape, (3508, 2480), atol=1)
    wall = saved(Image.new("L", (5000, 5000), 255), "PDF", resolution=1)
    assert read_photo(wall).size <= 25_100_000


@given(share=st.floats(0, 0.98))
@settings(max_examples=25, deadline=None)
def test_a_truncated_pdf_is_an_error_or_read(share):
    content = scan("PDF", [40])
    try:
        assert read_photo(content[: int(share * len(content))]).ndim == 2
    except NetchuError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "module", "extra"),
    [(scan("PDF", [40]), "pypdfium2", "pdf"), (base64.b64decode(HEIC), "pi_heif", "heic")],
)
def test_a_format_without_its_package_names_the_extra(content, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    assert f"pip install 'netchu[{extra}]'" in error_message(content)
    assert list_pages(content) == [content]


LARGE = """
import resource, sys
from netchu.imaging.photos import load_photo
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = load_photo(sys.argv[1])
used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
print(photo.pixels_HW.shape, photo.size, int(photo.pixels_HW[2500, 1000]), used)
"""


def test_a_photo_of_108_megapixels_is_reduced_while_it_is_decoded(tmp_path):
    photo_HW = np.full((9000, 12_000), 200, np.uint8)
    photo_HW[4800:5200, 1800:2200] = 20
    path = tmp_path / "phone.jpg"
    colour_HWC = cv2.cvtColor(photo_HW, cv2.COLOR_GRAY2BGR)
    path.write_bytes(cv2.imencode(".jpg", colour_HWC)[1].tobytes())
    done = subprocess.run(
        [sys.executable, "-c", LARGE, path], capture_output=True, text=True, check=True
    )
    shown, megabytes = done.stdout.rsplit(maxsplit=1)
    assert shown == "(4500, 6000) (12000, 9000) 20"
    assert int(megabytes) < 150


def test_a_turned_photo_that_is_reduced_has_the_size_as_it_is_shown(monkeypatch):
    monkeypatch.setattr(photos, "MAX_PIXELS", 1000)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = load_photo(saved(Image.fromarray(page()), "JPEG", exif=exif))
    assert (photo.pixels_HW.shape, photo.size) == ((25, 15), (30, 50))


def test_progressive_and_larger_jpegs_are_errors(monkeypatch):
    monkeypatch.setattr(photos, "MAX_PIXELS", 1000)
    assert "megapixels" in error_message(saved(Image.fromarray(page()), "JPEG", progressive=True))
    assert "megapixels" in error_message(saved(Image.fromarray(page()), "PNG"))
    monkeypatch.setattr(photos, "MAX_JPEG_PIXELS", 1200)
    assert "megapixels" in error_message(saved(Image.fromarray(page()), "JPEG"))
