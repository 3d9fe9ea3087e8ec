"""The file of an exported model's weights, in the format of safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

_TYPES = {"F16": np.float16, "F32": np.float32}
_MAX_HEADER = 2**24


class TensorLocation(NamedTuple):
    """Type, first byte and number of bytes of a tensor in a safetensors file."""

    dtype: str
    offset: int
    length: int


def tensor_locations(path: Path) -> dict[str, TensorLocation]:
    """Read a safetensors file: 8 bytes with the length of the header, a JSON header, the data.

    Raises:
        ValueError: it is none, or a tensor lies outside it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size, _MAX_HEADER):
            raise ValueError("the header is longer than the file")
        try:
            header = json.loads(file.read(length))
            found = {
                name: TensorLocation(str(entry["dtype"]), 8 + length + first, end - first)
                for name, entry in header.items()
                if name != "__metadata__"
                for first, end in (entry["data_offsets"],)
            }
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise ValueError("not a safetensors file") from None
    for name, tensor in found.items():
        if tensor.length < 0 or not 8 + length <= tensor.offset <= size - tensor.length:
            raise ValueError(f"{name} lies outside the file")
    return found


def check_finite(path: Path) -> None:
    """Check that no weight is NaN or infinite.

    Raises:
        ValueError: one is, or the file is not a safetensors file.
    """
    for name, tensor in tensor_locations(path).items():
        dtype = _TYPES.get(tensor.dtype)
        if dtype is None:
            continue
        count = tensor.length // np.dtype(dtype).itemsize
        weights = np.fromfile(path, dtype=dtype, count=count, offset=tensor.offset)
        if not np.isfinite(weights).all():
            raise ValueError(f"{name} is not finite")
