"""Small files that take a decoder or the reader long, or much memory."""

import io
import struct

import numpy as np
from PIL import Image

from netchu.imaging.images import encode


def progressive_jpeg(scans, size=(1000, 1000)):
    """A progressive JPEG whose last scan is repeated until there are `scans` of them."""
    file = io.BytesIO()
    Image.new("L", size, 200).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    repeats = scans - content.count(b"\xff\xda")
    return content[:end] + content[last:end] * repeats + content[end:]


def tiff(size, tags, data=b""):
    """A little-endian TIFF of one grey page with `data` behind its header; `tags` override."""
    width, height = size
    entries = {
        256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height,
        279: len(data),
    } | tags  # fmt: skip
    entries = {tag: value for tag, value in entries.items() if value is not None}
    ifd = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        ifd += struct.pack("<HHII", tag, 4, 1, value)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + ifd + bytes(4)


def huge_tile_tiff(width=46_336, height=46_320):
    """A TIFF of 64 x 64 pixels whose only tile, packed, is declared much larger."""
    data = b"\x81\xff" * 4096
    tile = {322: width, 323: height, 324: 8, 325: len(data), 259: 32_773}
    return tiff((64, 64), tile | {273: None, 278: None, 279: None}, data)


def random_blobs(seed=0, size=(1200, 1000)):
    """A PNG of small squares all over, which look like the letters of hundreds of lines."""
    random = np.random.default_rng(seed)
    image_HW = np.full(size[::-1], 230, np.uint8)
    for y in range(0, size[1] - 24, 24):
        for x in range(0, size[0] - 24, 24):
            down, right = random.integers(0, 14, 2)
            image_HW[y + down :, x + right :][:10, :10] = 30
    return encode(image_HW)


def jpeg2000(size, tile, components=1):
    """The header of a JPEG 2000 codestream, without its data."""
    edges = (*size, 0, 0, *tile, 0, 0)
    sizes = struct.pack(">HH8IH", 38 + 3 * components, 0, *edges, components)
    return b"\xff\x4f\xff\x51" + sizes + b"\x07\x01\x01" * components + b"\xff\xd9"


def webp_canvas(width, height):
    """A WebP file that declares a canvas and has no frame."""
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4)
    chunk += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
