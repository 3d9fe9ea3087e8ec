"""Encoded images on disk, as a column of a data frame.

A table of many lines does not fit into memory. `read_table` copies the images of the shards into
one file, from which any image is read alone, whatever the compression of the shards. Reading
through the file descriptor and not through a memory map costs neither memory nor address space,
only page cache. Where the images are is a column of numbers, which `stored_frames` keeps on disk.
"""

from __future__ import annotations

import builtins
import os
import tempfile
from collections.abc import Sequence
from multiprocessing import context, reduction
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype
from pandas.api.indexers import check_array_indexer

from netchu.core.files import naming
from netchu.core.paths import SCRATCH

PLACE = np.dtype([("file", np.uint16), ("start", np.int64), ("size", np.int32)])
"""Where an image is: number of the file, first byte, number of bytes."""


class ImageFile:
    """Encoded images in one file without a name, which disappears when no process has it open.

    Processes that are forked or spawned from this one share it.

    Raises:
        OSError: the file cannot be created or written.
    """

    def __init__(self) -> None:
        self._file = unnamed_file()
        self._end = 0

    def append(self, images: pa.LargeBinaryArray) -> NDArray[np.void]:
        """Write images; return the place of each, for `StoredImages`.

        Raises:
            ValueError: an image is missing.
        """
        if images.null_count:
            raise ValueError("a line without an image")
        bounds, content = content_of(images)
        places = np.zeros(len(images), PLACE)
        places["start"] = bounds[:-1] + self._end
        places["size"] = np.diff(bounds)
        with naming(SCRATCH):
            self._file.write(content)
            self._file.flush()
        self._end += len(content)
        return places

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from byte `start` on."""
        return os.pread(self._file.fileno(), size, start)

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherited, (reduction.DupFd(self._file.fileno()),)


def unnamed_file() -> IO[bytes]:
    """Return a new file without a name, which disappears when no process has it open.

    Raises:
        OSError: the file cannot be created.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=SCRATCH)


def content_of(values: pa.LargeBinaryArray) -> tuple[NDArray[np.int64], memoryview]:
    """Return the bytes of all values, without a copy, and where each begins and ends in them."""
    _, offsets, content = values.buffers()
    if not len(values) or content is None:
        return np.zeros(len(values) + 1, np.int64), memoryview(b"")
    bounds = np.frombuffer(offsets, np.int64)[values.offset :][: len(values) + 1]
    return bounds - bounds[0], memoryview(content)[bounds[0] : bounds[-1]]


def _inherited(descriptor: Any) -> ImageFile:
    """Return the file of a process that has spawned this one."""
    file = ImageFile.__new__(ImageFile)
    file._file = os.fdopen(descriptor.detach(), "rb")
    return file


class StoredImageDtype(ExtensionDtype):
    """Encoded images that are read from the disk when they are asked for."""

    name = "stored image"
    type = bytes

    @classmethod
    def construct_array_type(cls) -> builtins.type[StoredImages]:
        return StoredImages


class StoredImages(ExtensionArray):
    """A column of encoded images, `bytes` each, of which it holds 14 bytes.

    It cannot be changed or compared and has no missing values. Selecting rows selects places in the
    files and reads nothing. A process that is spawned gets the files; elsewhere, as on a Ray
    cluster, the images themselves are pickled.

    Args:
        files: the files of the images.
        places: where each image is.
    """

    def __init__(self, files: tuple[ImageFile, ...], places: NDArray[np.void]) -> None:
        self.files, self.places = files, places

    @classmethod
    def of(cls, images: Sequence[bytes]) -> StoredImages:
        """Return a column of these images, in a file of its own."""
        file = ImageFile()
        return cls((file,), file.append(pa.array(images, pa.large_binary())))

    def __reduce__(self) -> tuple[Any, ...]:
        if context.get_spawning_popen() is not None:
            return StoredImages, (self.files, self.places)
        return StoredImages.of, (list(self),)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, np.integer)):
            number, start, size = self.places[item].item()
            return self.files[number].read(start, size)
        return StoredImages(self.files, self.places[check_array_indexer(self, item)])

    @property
    def dtype(self) -> StoredImageDtype:
        return StoredImageDtype()

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.places.nbytes

    def isna(self) -> NDArray[np.bool_]:
        return np.zeros(len(self), np.bool_)

    def take(
        self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None
    ) -> StoredImages:
        rows = np.asarray(indices, np.intp)
        if allow_fill and (rows < 0).any():
            raise ValueError("a line without an image")
        return StoredImages(self.files, self.places.take(rows))

    def copy(self) -> StoredImages:
        return StoredImages(self.files, self.places.copy())

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> StoredImages:
        files = tuple(dict.fromkeys(file for column in to_concat for file in column.files))
        number_of = {file: number for number, file in enumerate(files)}
        parts = []
        for column in to_concat:
            places = column.places.copy()
            numbers = np.array([number_of[file] for file in column.files], np.uint16)
            places["file"] = numbers[column.places["file"]] if len(places) else 0
            parts.append(places)
        return cls(files, np.concatenate(parts))
