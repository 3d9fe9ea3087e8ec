"""Reading photos from files, bytes, arrays and Pillow images, in bounded memory."""

from __future__ import annotations

import threading
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from netchu.core.errors import NetchuError
from netchu.imaging.images import Grey, decode

PhotoSource = str | Path | bytes | NDArray[Any] | Image.Image
"""A photo: a path, the bytes of a file, pixels (HW, or HWC in RGB order), or a Pillow image."""

MAX_PIXELS = 100_000_000
MAX_SIDE = 30_000
MAX_BYTES = 2**28

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
_TRAINING_FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
"""Formats that training decodes with `images.decode`; MPO is a JPEG followed by further images."""

_warnings_lock = threading.Lock()


def read_photo(source: PhotoSource) -> Grey:
    """Return a photo as grey HW, with its EXIF rotation applied and transparent parts white.

    Only the first frame of an animation is read. JPEG, PNG and WebP files in grey or RGB give the
    same pixels as in training. The size is checked before any pixels are decoded.

    Raises:
        NetchuError: the file is missing, too large, damaged or not an image, or the array does not
            hold pixels.
    """
    if isinstance(source, bytes):
        return _decode_file(source, "the image")
    if isinstance(source, str | Path):
        return _decode_file(_read_file(Path(source)), str(source))
    if isinstance(source, Image.Image):
        _check_size(*source.size, "the image")
        return _grey(source, "the image")
    return _grey(_from_array(source), "the array")


def _read_file(path: Path) -> bytes:
    """Return the content of a file of at most `MAX_BYTES`."""
    try:
        if path.is_dir():
            raise NetchuError(f"{path} is a folder; give the path of an image")
        if path.exists() and not path.is_file():
            raise NetchuError(f"{path} is not a regular file; save the image to a file")
        if path.stat().st_size > MAX_BYTES:
            raise NetchuError(f"{path}: more than {MAX_BYTES >> 20} MB; save it as JPEG")
        return path.read_bytes()
    except FileNotFoundError:
        raise NetchuError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise NetchuError(f"{str(path)!r} cannot be read ({reason}); check the path") from None


def _decode_file(content: bytes, where: str) -> Grey:
    image = _open_image(content, where)
    _check_size(*image.size, where)
    plain = image.format in _TRAINING_FORMATS and image.mode in ("L", "RGB")
    animated = image.format != "MPO" and getattr(image, "is_animated", False)
    if not plain or animated or image.has_transparency_data:
        return _grey(image, where)
    try:
        image.verify()  # finds a truncated PNG before libpng prints a warning on stderr
        return decode(content, where)
    except Exception:
        raise _not_an_image(where) from None


def _open_image(content: bytes, where: str) -> Image.Image:
    """Return a Pillow image of which only the header has been read."""
    try:
        # Pillow warns about large images that are within the limits of this module.
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(where) from None
    except Exception:  # a damaged header makes decoders raise anything
        raise _not_an_image(where) from None


def _check_size(width: int, height: int, where: str) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _too_large(where)
    if not width * height:
        raise NetchuError(f"{where}: no pixels; give a photo")


def _too_large(where: str) -> NetchuError:
    return NetchuError(
        f"{where}: more than {MAX_PIXELS // 10**6} megapixels, or a side of more than "
        f"{MAX_SIDE} px; resize or crop it"
    )


def _not_an_image(where: str) -> NetchuError:
    known = ", ".join(_FORMATS)
    return NetchuError(f"{where}: not an image, or damaged; save it as one of {known}")


def _grey(image: Image.Image, where: str) -> Grey:
    """Convert a Pillow image to grey on white."""
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in ("F", "I") or image.mode.startswith("I;"):
            return _to_uint8(np.asarray(image), where)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            paper = Image.new("L", image.size, 255)
            paper.paste(image.convert("L"), mask=image.getchannel("A"))
            image = paper
        return np.array(image.convert("L"), np.uint8)
    except NetchuError:
        raise
    except Exception:  # damaged pixels make decoders raise anything
        raise _not_an_image(where) from None


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
    """Scale to 0…255: integers by their highest eight bits in use, floats from [0, 1]."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(pixels.dtype, np.integer):
        # Not always the topmost eight: scanners store 12 bits in 16.
        spare = max(0, int(pixels.max()).bit_length() - 8)
        return np.asarray(np.maximum(pixels, 0) >> spare, np.uint8)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise NetchuError(f"{where} has dtype {pixels.dtype}; give integers from 0 to 255")
    if not (pixels.min() >= 0 and pixels.max() <= 1):  # false for NaN
        raise NetchuError(f"{where}: floats must be between 0 and 1; divide them by their maximum")
    return np.asarray(np.rint(pixels * 255), np.uint8)
