"""Photos from anywhere to grey pixels, in bounded memory."""

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

Source = str | Path | bytes | NDArray[Any] | Image.Image
"""A photo: the path of a file, its bytes, pixels (HW, or HWC in RGB order), or Pillow's image."""

MOST_PIXELS = 100_000_000
LONGEST_SIDE = 30_000
MOST_BYTES = 2**28

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM")
_TRAINED = ("JPEG", "MPO", "PNG", "WEBP")
"""What training reads by `images.decode`; MPO is a phone's JPEG with a second picture behind it."""

_warnings = threading.Lock()


def read_photo(source: Source) -> Grey:
    """The photo as shown: grey HW, turned as its EXIF data ask, transparent parts white.

    Of an animation it is the first frame. Plain images have the very pixels that training saw. The
    header is looked at before anything is decoded.

    Raises:
        NetchuError: the file is missing or too large, damaged or no image; or an array is not one
            of pixels.
    """
    if isinstance(source, bytes):
        return _decoded(source, "the image")
    if isinstance(source, str | Path):
        return _decoded(_content(Path(source)), str(source))
    if isinstance(source, Image.Image):
        _check_size(*source.size, "the image")
        return _grey(source, "the image")
    return _grey(_from_array(source), "the array")


def _content(path: Path) -> bytes:
    """The bytes of a file that is not too large."""
    try:
        if path.is_dir():
            raise NetchuError(f"{path} is a folder; name an image in it")
        if path.exists() and not path.is_file():
            raise NetchuError(f"{path} is no file; save the image in one")
        if path.stat().st_size > MOST_BYTES:
            raise NetchuError(f"{path}: more than {MOST_BYTES >> 20} MB; save it as JPEG")
        return path.read_bytes()
    except FileNotFoundError:
        raise NetchuError(f"{path}: no such file; look at its name") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise NetchuError(f"{str(path)!r} cannot be read ({reason}); look at its name") from None


def _decoded(content: bytes, where: str) -> Grey:
    image = _opened(content, where)
    _check_size(*image.size, where)
    plain = image.format in _TRAINED and image.mode in ("L", "RGB")
    animated = image.format != "MPO" and getattr(image, "is_animated", False)
    if not plain or animated or image.has_transparency_data:
        return _grey(image, where)
    try:
        image.verify()  # finds a PNG cut short before libpng complains about it on stderr
        return decode(content, where)
    except Exception:
        raise _no_image(where) from None


def _opened(content: bytes, where: str) -> Image.Image:
    """Pillow's image, of which only the header is read."""
    try:
        # Pillow warns of large images that are still within bounds here.
        with _warnings, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(where) from None
    except Exception:  # whatever a broken header makes a decoder raise
        raise _no_image(where) from None


def _check_size(width: int, height: int, where: str) -> None:
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise _too_large(where)
    if not width * height:
        raise NetchuError(f"{where}: it has no pixel; give a photo")


def _too_large(where: str) -> NetchuError:
    return NetchuError(
        f"{where}: more than {MOST_PIXELS // 10**6} megapixels, or a side of more than "
        f"{LONGEST_SIDE} px; shrink it or cut it up"
    )


def _no_image(where: str) -> NetchuError:
    known = ", ".join(_FORMATS)
    return NetchuError(f"{where}: not an image, or a damaged one; save it as one of {known}")


def _grey(image: Image.Image, where: str) -> Grey:
    """Any image of Pillow's as grey on white."""
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in ("F", "I") or image.mode.startswith("I;"):
            return _eight_bits(np.asarray(image), where)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            paper = Image.new("L", image.size, 255)
            paper.paste(image.convert("L"), mask=image.getchannel("A"))
            image = paper
        return np.array(image.convert("L"), np.uint8)
    except NetchuError:
        raise
    except Exception:  # whatever broken pixels make a decoder raise
        raise _no_image(where) from None


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    where = "the array"
    if not isinstance(pixels, np.ndarray):
        raise NetchuError(
            f"a {type(pixels).__name__} is no photo; give a path, bytes, an array or Pillow's image"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise NetchuError(f"{where} has the shape {pixels.shape}; give HW, or HWC in RGB order")
    _check_size(pixels.shape[1], pixels.shape[0], where)
    return Image.fromarray(_eight_bits(pixels, where))


def _eight_bits(pixels: NDArray[Any], where: str) -> Grey:
    """Whole numbers by their highest eight bits in use, floats from [0, 1], as 0 to 255."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(pixels.dtype, np.integer):
        # Not always the topmost eight: scanners put 12 bits into 16.
        spare = max(0, int(pixels.max()).bit_length() - 8)
        return np.asarray(np.maximum(pixels, 0) >> spare, np.uint8)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise NetchuError(f"{where} holds {pixels.dtype}, which are no pixels; give 0 to 255")
    if not (pixels.min() >= 0 and pixels.max() <= 1):  # which NaN is not
        raise NetchuError(f"{where}: floats must lie between 0 and 1; divide them by their maximum")
    return np.asarray(np.rint(pixels * 255), np.uint8)
