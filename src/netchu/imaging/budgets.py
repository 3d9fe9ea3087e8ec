"""What an image file declares of its size, apart from width and height, before it is decoded.

A decoder reserves memory for the tile, strip or canvas that the file declares, and runs once over
the image for each scan, however small the file is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from PIL import Image
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    ROWSPERSTRIP,
    SAMPLESPERPIXEL,
    TILELENGTH,
    TILEWIDTH,
    TiffImageFile,
)

MAX_SCAN_PIXELS = 1_500_000_000
"""Pixels of a JPEG times its scans. Encoders write up to 12 scans; each takes about 10 ms for a
million pixels."""

MAX_SEGMENT_BYTES = 2**26
"""Memory for a tile or strip of a TIFF file that is larger than the image itself."""

MAX_PIXEL_BYTES = 8
"""Memory for a pixel of one that is as large as the image: four colours of 16 bits."""

MAX_JPEG2000_TILES = 4_096
MAX_JPEG2000_COMPONENTS = 4

_JPEG_COMPRESSIONS = (6, 7)
_START_OF_SCAN = b"\xff\xda"
_CODESTREAM = re.compile(rb"\xff\x4f\xff\x51.{38}", re.DOTALL)
"""The first 42 bytes of a JPEG 2000 codestream: its start, the marker of its sizes, and these."""


def webp_size(head: bytes) -> tuple[int, int] | None:
    """Return width and height that a WebP file declares, None for other files.

    Pillow reserves the canvas when it opens the file.

    Args:
        head: at least the first 30 bytes.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return None
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width, height


def exceeds_budget(
    image: Image.Image, read: Callable[[], bytes], max_pixels: int, max_side: int
) -> bool:
    """Return whether decoding an image would take much more than its width and height tell.

    Args:
        image: of which only the header has been read.
        read: returns the content of the file.
        max_pixels: largest number of pixels of a JPEG 2000 codestream.
        max_side: largest width and height of one.
    """
    pixels = image.size[0] * image.size[1]
    if image.format in ("JPEG", "MPO"):
        return read().count(_START_OF_SCAN) * pixels > MAX_SCAN_PIXELS
    if image.format == "JPEG2000":
        found = _CODESTREAM.finditer(read())
        return any(_is_large_codestream(each[0], max_pixels, max_side) for each in found)
    return isinstance(image, TiffImageFile) and _exceeds_tiff_budget(image, read)


def _exceeds_tiff_budget(image: TiffImageFile, read: Callable[[], bytes]) -> bool:
    """Return whether tiles or strips of a page are too large, or have too many scans."""

    def tag(number: int, default: int) -> int:
        value = image.tag_v2.get(number, default)
        return int(max(value) if isinstance(value, tuple) else value)

    width, height = image.size
    segment_width = tag(TILEWIDTH, width)
    segment_height = tag(TILELENGTH, min(height, tag(ROWSPERSTRIP, height)))
    pixels = segment_width * segment_height
    size = pixels * tag(SAMPLESPERPIXEL, 1) * tag(BITSPERSAMPLE, 1) // 8
    if size > max(MAX_SEGMENT_BYTES, MAX_PIXEL_BYTES * width * height):
        return True
    is_jpeg = tag(COMPRESSION, 1) in _JPEG_COMPRESSIONS
    return is_jpeg and read().count(_START_OF_SCAN) * pixels > MAX_SCAN_PIXELS


def _is_large_codestream(head: bytes, max_pixels: int, max_side: int) -> bool:
    """Return whether a codestream declares too many pixels, tiles or components.

    Args:
        head: its first 42 bytes.
        max_pixels: largest number of pixels.
        max_side: largest width and height.
    """
    edges = [int.from_bytes(head[at : at + 4], "big") for at in range(8, 40, 4)]
    right, bottom, left, top, tile_width, tile_height, *_ = edges
    width, height = right - left, bottom - top
    tiles = -(-width // max(1, tile_width)) * -(-height // max(1, tile_height))
    components = int.from_bytes(head[40:42], "big")
    return (
        width * height > max_pixels
        or max(width, height) > max_side
        or tiles > MAX_JPEG2000_TILES
        or components > MAX_JPEG2000_COMPONENTS
    )
