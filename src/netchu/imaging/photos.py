"""Reading photos from files, bytes, arrays and Pillow images, in bounded memory."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, features
from PIL.TiffImagePlugin import BITSPERSAMPLE, PREFIXES, TiffImageFile

from netchu.core.errors import NetchuError
from netchu.imaging.budgets import exceeds_budget, webp_size
from netchu.imaging.images import Grey, decode
from netchu.imaging.pdf_pages import count_pages, is_pdf, render_page


@dataclass(frozen=True)
class Page:
    """One page of a file that has several.

    Attributes:
        source: the file, as a path or its bytes.
        number: of the page, from 1.
    """

    source: str | Path | bytes
    number: int


PhotoSource = str | Path | bytes | NDArray[Any] | Image.Image | Page
"""A photo: a path, the bytes of a file, pixels (HW, or HWC in RGB order), a Pillow image or a page.

`scan.tif#2` is page 2 of `scan.tif`, if there is no file of that name.
"""


@dataclass(frozen=True)
class Photo:
    """The pixels of a photo.

    Attributes:
        pixels_HW: grey pixels.
        size: width and height of the photo, which are larger than those of `pixels_HW` if it was
            reduced while it was decoded.
    """

    pixels_HW: Grey
    size: tuple[int, int]


MAX_PIXELS = 100_000_000
MAX_SIDE = 30_000
MAX_BYTES = 2**28
MAX_JPEG_PIXELS = 250_000_000
"""A larger JPEG is an error; one with more than `MAX_PIXELS` is decoded at half its size or less.

Progressive ones have to fit `MAX_PIXELS`: they are held as a whole while they are decoded.
"""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
_TRAINING_FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
"""Formats that training decodes with `images.decode`; MPO is a JPEG followed by further images."""

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2",
    ".avif", ".heic", ".heif", ".pdf",
)  # fmt: skip
"""File names of the formats, in lower case."""

_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

_REDUCED_OR_MASK = 1 | 4
"""Bits of the TIFF tag NewSubfileType of images that are not pages."""

_UNNAMED = "the image"
"""What messages call a photo without a path."""

_COLOURED = ("RGB", "RGBA", "RGBX")

NEW_SUBFILE_TYPE = 254
"""The TIFF tag of that name."""

MAX_PAGES = 10_000

# Pillow warns about damage that it can read around, and about sizes within the limits below. For
# all threads at once, since `warnings.catch_warnings` is for one.
warnings.filterwarnings("ignore", module=r"PIL\.")


def list_pages(source: str | Path | bytes, limit: int | None = None) -> list[PhotoSource]:
    """Return the pages of a TIFF or PDF file that has several, else the source alone.

    A file that cannot be opened is returned, too: reading it gives the error. Frames of an
    animation are not pages.

    Args:
        source: a path, or the bytes of a file.
        limit: stop after so many pages.
    """
    try:
        content, where, number = _locate(source)
        if number is not None:
            return [source]
        if is_pdf(_head(content)):
            pages = range(count_pages(content, where))
        else:
            with _open_image(content, where) as image:
                pages = range(len(list(islice(_tiff_pages(image), limit))))
    except NetchuError:
        return [source]
    if len(pages) < 2:
        return [source]
    return [Page(source, page + 1) for page in pages[:limit]]


def photo_name(source: PhotoSource) -> str:
    """Return what messages call a photo."""
    if isinstance(source, Page):
        return _page_name(photo_name(source.source), source.number)
    return str(source) if isinstance(source, str | Path) else _UNNAMED


def may_have_pages(content: bytes) -> bool:
    """Return whether `list_pages` may find several pages: in a TIFF or PDF file."""
    return content.startswith(tuple(PREFIXES)) or is_pdf(content[:1024])


def read_photo(source: PhotoSource) -> Grey:
    """Return the pixels of `load_photo`."""
    return load_photo(source).pixels_HW


def load_photo(source: PhotoSource) -> Photo:
    """Return a photo as grey HW, with its EXIF rotation applied and transparent parts white.

    Only the first frame of an animation is read, unless another is named. JPEG, PNG and WebP files
    in grey or RGB give the same pixels as in training. The size is checked before any pixels are
    decoded.

    Raises:
        NetchuError: the file is missing, too large, damaged, not an image or has several pages, or
            the array does not hold pixels.
    """
    if isinstance(source, bytes | str | Path | Page):
        content, where, number = _locate(source)
        if is_pdf(_head(content)):
            return _as_photo(_pdf_page(content, where, number))
        with _open_image(content, where) as image:
            return _decode_file(image, content, where, number)
    if isinstance(source, Image.Image):
        _check_size(*source.size, _UNNAMED)
        return _as_photo(_grey(source, _UNNAMED))
    return _as_photo(_grey(_from_array(source), "the array"))


def is_image_file(path: Path) -> bool:
    """Return whether a file can be opened as a photo, whatever its name."""
    try:
        if is_pdf(_head(path)):
            return True
        with _open_image(path, str(path)):
            return True
    except NetchuError:
        return False


def is_grey_file(content: bytes) -> bool:
    """Return whether `images.decode` gives the pixels of `read_photo`, and the file has no colour.

    Then the bytes can stay as they are in a line table.

    Raises:
        NetchuError: the file cannot be opened.
    """
    if is_pdf(content[:1024]):
        return False
    with _open_image(content, _UNNAMED) as image:
        return image.mode == "L" and _is_plain(image, content) and image.getextrema()[1] != 1


def _as_photo(pixels_HW: Grey) -> Photo:
    return Photo(pixels_HW, (pixels_HW.shape[1], pixels_HW.shape[0]))


def _locate(source: str | Path | bytes | Page) -> tuple[bytes | Path, str, int | None]:
    """Return the content of a file, its name for messages, and the number of the page."""
    number: int | None = None
    if isinstance(source, Page):
        number, source = source.number, source.source
    if isinstance(source, bytes):
        return source, _UNNAMED, number
    path = Path(source)
    named = re.fullmatch(r"(.+)#([0-9]{1,6})", str(source), re.DOTALL)
    if number is None and named and not _exists(path):
        path, number = Path(named[1]), int(named[2])
    _check_file(path)
    return path, str(path), number


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _check_file(path: Path) -> None:
    """Raise an error if `path` is not a regular file of at most `MAX_BYTES`."""
    with _file_errors(path):
        if path.is_dir():
            raise NetchuError(f"{path} is a folder; give the path of an image")
        if path.exists() and not path.is_file():
            raise NetchuError(f"{path} is not a regular file; save the image to a file")
        if path.stat().st_size > MAX_BYTES:
            raise NetchuError(f"{path}: more than {MAX_BYTES >> 20} MB; save it as JPEG")


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NetchuError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise NetchuError(f"{str(path)!r} cannot be read ({reason}); check the path") from None


def _head(content: bytes | Path) -> bytes:
    """Return the first bytes of a file."""
    if isinstance(content, bytes):
        return content[:1024]
    with _file_errors(content), content.open("rb") as file:
        return file.read(1024)


def _whole(content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return content
    with _file_errors(content):
        return content.read_bytes()


def _pdf_page(content: bytes | Path, where: str, number: int | None) -> Grey:
    page = _page_index(count_pages(content, where), where, number) + 1
    return render_page(content, _page_name(where, number), page)


def _page_name(where: str, number: int | None) -> str:
    """Return what messages call a page of a file, or the file if no number is given."""
    if number is None:
        return where
    return f"page {number} of {where}" if where == _UNNAMED else f"{where}#{number}"


def _page_index(pages: int, where: str, number: int | None) -> int:
    """Return the index of a page.

    Raises:
        NetchuError: there is no such page, or several pages and no number.
    """
    if number is None and pages > 1:
        one = "save each to a file" if where == _UNNAMED else f"name one, as in '{where}#1'"
        raise NetchuError(f"{where} has {pages} pages; {one}")
    if number is not None and not 1 <= number <= pages:
        raise NetchuError(f"{where} has no page {number}; its pages are 1 to {pages}")
    return (number or 1) - 1


def _decode_file(
    image: Image.Image, content: bytes | Path, where: str, number: int | None
) -> Photo:
    _select_page(image, where, number)
    where = _page_name(where, number)
    _check_budget(image, content, where)
    size = image.size
    if _reduce_while_decoding(image):
        pixels_HW = _grey(image, where)
        turned = (pixels_HW.shape[0] > pixels_HW.shape[1]) != (size[1] > size[0])
        return Photo(pixels_HW, size[::-1] if turned else size)
    _check_size(*size, where)
    if number is not None or not _is_plain(image, content):
        deep = image.mode in _COLOURED and _bits(image, content) > 8
        return _as_photo(_grey(_shallow(image, content, where) if deep else image, where))
    try:
        image.verify()  # finds a truncated PNG before libpng prints a warning on stderr
        return _as_photo(_spread_mask(decode(_whole(content), where)))
    except Exception as error:
        raise _undecodable(error, where) from None


def _is_plain(image: Image.Image, content: bytes | Path) -> bool:
    """Return whether the image is one that training decodes with `images.decode`."""
    animated = image.format != "MPO" and getattr(image, "is_animated", False)
    return (
        image.format in _TRAINING_FORMATS
        and image.mode in ("L", "RGB")
        and not animated
        and not image.has_transparency_data
        and _bits(image, content) <= 8
        and image.size[0] * image.size[1] <= MAX_PIXELS
    )


def _select_page(image: Image.Image, where: str, number: int | None) -> None:
    """Go to a page of a TIFF file, or to a frame of an animation."""
    try:
        if image.format == "TIFF":
            frames = list(_tiff_pages(image))
        else:
            frames = list(range(1 if number is None else getattr(image, "n_frames", 1)))
        frame = frames[_page_index(len(frames), where, number)]
        if image.format == "TIFF" or frame:
            image.seek(frame)
    except NetchuError:
        raise
    except Exception:  # a damaged frame makes decoders raise anything
        raise _not_an_image(_page_name(where, number)) from None


def _tiff_pages(image: Image.Image) -> Iterator[int]:
    """Yield the frames of a TIFF file that are pages, and not smaller copies of them or masks."""
    if not isinstance(image, TiffImageFile):
        return
    for frame in range(MAX_PAGES):
        try:
            image.seek(frame)
        except EOFError:
            return
        except Exception:  # a damaged page is reported when it is read
            yield frame
            return
        if not frame or not int(image.tag_v2.get(NEW_SUBFILE_TYPE, 0)) & _REDUCED_OR_MASK:
            yield frame


def _reduce_while_decoding(image: Image.Image) -> bool:
    """Let a JPEG with more than `MAX_PIXELS` be decoded at half, a quarter or an eighth its size.

    This needs no memory for its full size, see `PIL.Image.Image.draft`.
    """
    width, height = image.size
    if (
        image.format not in ("JPEG", "MPO")
        or not MAX_PIXELS < width * height <= MAX_JPEG_PIXELS
        or max(width, height) > MAX_SIDE
        or image.info.get("progressive")
    ):
        return False
    return image.draft("L", (width // 2, height // 2)) is not None


def _bits(image: Image.Image, content: bytes | Path) -> int:
    """Return the bits of a colour of a pixel in a PNG or TIFF file."""
    if image.format == "PNG":
        return _head(content)[24]
    if isinstance(image, TiffImageFile):
        return int(max(image.tag_v2.get(BITSPERSAMPLE, (8,))))
    return 8


def _shallow(image: Image.Image, content: bytes | Path, where: str) -> Image.Image:
    """Return an image with 16 bits for each colour with 8; Pillow would drop the lower ones."""
    frame = image.tell() if image.format == "TIFF" else 0
    encoded = np.frombuffer(_whole(content), np.uint8)
    try:
        found, pixels = cv2.imdecodemulti(encoded, cv2.IMREAD_UNCHANGED, range=(frame, frame + 1))
        if not found or pixels[0].ndim != 3:
            raise ValueError("no colours")
    except Exception as error:
        raise _undecodable(error, where) from None
    colours = cv2.COLOR_BGRA2RGBA if pixels[0].shape[2] == 4 else cv2.COLOR_BGR2RGB
    shallow = Image.fromarray(_to_uint8(cv2.cvtColor(pixels[0], colours), where))
    if image.format == "PNG" and (turned := image.getexif().get(ExifTags.Base.Orientation)):
        shallow.getexif()[ExifTags.Base.Orientation] = turned
    return shallow


@contextmanager
def _open_image(content: bytes | Path, where: str) -> Iterator[Image.Image]:
    """Yield a Pillow image of which only the header has been read."""
    head = _head(content)
    formats = [*_FORMATS, *_load_plugins(head, where)]
    if canvas := webp_size(head):
        _check_size(*canvas, where)
    with ExitStack() as stack:
        if isinstance(content, bytes):
            stream: IO[bytes] = BytesIO(content)
        else:
            with _file_errors(content):
                stream = stack.enter_context(content.open("rb"))
        try:
            image = stack.enter_context(Image.open(stream, formats=formats))
        except Image.DecompressionBombError:
            raise _too_large(where) from None
        except Exception:  # a damaged header makes decoders raise anything
            raise _not_an_image(where) from None
        yield image


def _load_plugins(head: bytes, where: str) -> tuple[str, ...]:
    """Return the format HEIF if the file has it, and register its plugin with Pillow.

    Raises:
        NetchuError: a plugin is missing.
    """
    if head[4:8] != b"ftyp":
        return ()
    if head[8:12] in (b"avif", b"avis"):
        if not features.check("avif"):
            raise NetchuError(f"{where}: AVIF needs another build of Pillow: pip install -U pillow")
        return ()
    if head[8:12] not in _HEIC_BRANDS:
        return ()
    try:
        import pi_heif
    except ModuleNotFoundError:
        raise NetchuError(f"{where}: HEIC needs pip install 'netchu[heic]'") from None
    pi_heif.register_heif_opener()
    return ("HEIF",)


def _check_size(width: int, height: int, where: str) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _too_large(where)
    if not width * height:
        raise NetchuError(f"{where}: no pixels; give a photo")


def _check_budget(image: Image.Image, content: bytes | Path, where: str) -> None:
    if image.format not in ("JPEG", "MPO"):  # a large one of these may be reduced
        _check_size(*image.size, where)
    try:
        exceeds = exceeds_budget(image, lambda: _whole(content), MAX_PIXELS, MAX_SIDE)
    except NetchuError:
        raise
    except Exception:  # tags of a damaged file may have any type
        raise _not_an_image(where) from None
    if exceeds:
        raise NetchuError(
            f"{where}: it declares tiles, strips, scans or colours of far more than its size; "
            "save it as PNG"
        )


def _undecodable(error: Exception, where: str) -> NetchuError:
    """Return the error of an image that could not be decoded because of `error`."""
    if isinstance(error, MemoryError):
        return NetchuError(f"{where}: not enough memory to decode it; resize or crop it")
    return _not_an_image(where)


def _too_large(where: str) -> NetchuError:
    return NetchuError(
        f"{where}: more than {MAX_PIXELS // 10**6} megapixels, or a side of more than "
        f"{MAX_SIDE} px; resize or crop it"
    )


def _not_an_image(where: str) -> NetchuError:
    known = ", ".join((*_FORMATS, "HEIC", "PDF"))
    return NetchuError(f"{where}: not an image, or damaged; save it as one of {known}")


def _grey(image: Image.Image, where: str) -> Grey:
    """Convert a Pillow image to grey on white."""
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in ("F", "I") or image.mode.startswith("I;"):
            return _to_uint8(np.asarray(image), where)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            ink, alpha = image.convert("L"), image.getchannel("A")
            if _is_light_ink(np.asarray(ink), np.asarray(alpha)):
                ink = ImageOps.invert(ink)
            paper = Image.new("L", image.size, 255)
            paper.paste(ink, mask=alpha)
            image = paper
        return _spread_mask(np.array(image.convert("L"), np.uint8))
    except NetchuError:
        raise
    except Exception as error:  # damaged pixels make decoders raise anything
        raise _undecodable(error, where) from None


def _is_light_ink(ink_HW: Grey, alpha_HW: Grey) -> bool:
    """Return whether most of an image is transparent and the rest could not be seen on white."""
    opaque = alpha_HW >= 128
    return 0 < opaque.mean() < 0.5 and float(np.median(ink_HW[opaque])) >= 192


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    where = "the array"
    if not isinstance(pixels, np.ndarray):
        raise NetchuError(
            f"a {type(pixels).__name__} is not a photo; give a path, bytes, an array or a Pillow "
            "image"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise NetchuError(f"{where} has shape {pixels.shape}; give HW, or HWC in RGB order")
    _check_size(pixels.shape[1], pixels.shape[0], where)
    return Image.fromarray(_to_uint8(pixels, where))


def _to_uint8(pixels: NDArray[Any], where: str) -> Grey:
    """Scale to 0…255.

    Integers keep their highest eight bits in use, and 0 and 1 are black and white. Floats up to 1
    are multiplied by 255; larger ones are taken as integers.
    """
    if pixels.dtype == np.uint8:
        return _spread_mask(pixels)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(pixels.dtype, np.integer):
        # Not always the topmost eight: scanners store 12 bits in 16.
        spare = max(0, int(pixels.max()).bit_length() - 8)
        return _spread_mask(np.asarray(np.maximum(pixels, 0) >> spare, np.uint8))
    if not np.issubdtype(pixels.dtype, np.floating):
        raise NetchuError(f"{where} has dtype {pixels.dtype}; give integers from 0 to 255")
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and (high <= 1 or _LEAST_WHITE <= high < 2**31)):  # false for NaN
        raise NetchuError(
            f"{where}: floats must be between 0 and 1, or 0 and 255, and not NaN; divide them by "
            "their maximum"
        )
    if high > 1:
        return _to_uint8(np.rint(pixels).astype(np.int32), where)
    return np.asarray(np.rint(pixels * 255), np.uint8)


_LEAST_WHITE = 64
"""Floats whose maximum is between 1 and this are neither of a picture from 0 to 1 nor to 255."""


def _spread_mask(pixels: Grey) -> Grey:
    """Return a mask of 0 and 1 as black and white, any other image as it is."""
    return pixels * np.uint8(255) if pixels.max() == 1 else pixels
