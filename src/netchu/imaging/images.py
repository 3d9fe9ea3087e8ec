"""Grey images as arrays, and as encoded bytes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from netchu.core.errors import NetchuError

Grey = NDArray[np.uint8]
"""A grey image of shape HW: 0 is black, 255 is white."""


def decode(encoded: bytes, where: str) -> Grey:
    """Decode PNG, JPEG or WebP to grey HW.

    Args:
        encoded: the bytes.
        where: name of the image, for the error message.

    Raises:
        NetchuError: the bytes do not decode.
    """
    image = (
        cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE) if encoded else None
    )
    if image is None:
        raise NetchuError(f"{where}: not an image that decodes; replace the file or drop the line")
    return np.asarray(image, np.uint8)


def encode(image_HW: Grey) -> bytes:
    """Encode grey HW as PNG.

    Raises:
        NetchuError: the image is empty or too large for PNG.
    """
    done, encoded = cv2.imencode(".png", image_HW, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise NetchuError(f"an image of shape {image_HW.shape} cannot be written as PNG")
    return encoded.tobytes()
