"""What each worker does: read files into rows of the output."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import fsspec

from netchu.core.errors import NetchuError
from netchu.core.files import hash_file
from netchu.core.paths import CARD
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.imaging.photos import MAX_BYTES, Page, PhotoSource, list_pages
from netchu.inference.bulk.tables import Row, error_row, reading_row
from netchu.inference.bulk.worklist import MissingPackageError, address_errors
from netchu.inference.exported_model import NETWORK, SHIPPED_MODEL, WEIGHTS
from netchu.inference.listing import is_address
from netchu.inference.reader import Reader

FETCHED_AHEAD = 2
"""Files at addresses that are held while another is read."""


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    Attributes:
        model: folder of an exported model; None is the one that comes with the package.
        greedy: decode without the language model.
        line: each image is one line.
        batch: images that are read at a time.
    """

    model: Path | None = None
    greedy: bool = False
    line: bool = False
    batch: int = 16


class FileReader:
    """A reader on one core."""

    def __init__(self, options: ReadOptions) -> None:
        """Load the model.

        Raises:
            NetchuError: the folder has no exported model, or a damaged one.
        """
        cv2.setNumThreads(1)  # each core has a process of its own
        self._options = options
        self._reader = Reader(options.model, greedy=options.greedy)
        self.model_hash = model_hash(options.model or SHIPPED_MODEL)

    def read(self, files: Sequence[str]) -> list[Row]:
        """Return the rows of all pages of the files, in order; those of errors say why.

        Raises:
            MissingPackageError: a file is at an address whose file system is not installed.
        """
        rows: list[Row] = []
        pages: list[tuple[str, int | None]] = []

        def sources() -> Iterator[PhotoSource]:
            for path, content in _contents(files):
                if isinstance(content, NetchuError):
                    rows.append(error_row(path, None, str(content)))
                    continue
                for page in list_pages(content):
                    pages.append((path, page.number if isinstance(page, Page) else None))
                    yield page

        results = self._reader.read_many(
            sources(), line=self._options.line, batch=self._options.batch
        )
        for number, result in enumerate(results):
            path, page = pages[number]
            if isinstance(result, NetchuError):
                rows.append(error_row(path, page, _named(result, path)))
            else:
                rows.append(reading_row(path, page, result, self.model_hash))
        return rows


def _named(error: NetchuError, path: str) -> str:
    """Return the message of an error; bytes from an address have no name of their own."""
    return str(error).replace("the image", path, 1) if is_address(path) else str(error)


def model_hash(folder: Path) -> str:
    """Return a SHA-256 over the files of an exported model that determine what it reads."""
    digest = hashlib.sha256()
    for name in (CARD, NETWORK, WEIGHTS, LANGUAGE_MODEL):
        if (folder / name).is_file():
            digest.update(f"{name} {hash_file(folder / name)}\n".encode())
    return digest.hexdigest()


def _contents(files: Iterable[str]) -> Iterator[tuple[str, str | bytes | NetchuError]]:
    """Yield each path with what is read: itself, or the bytes at an address.

    The next addresses are fetched while the pages of one are read.
    """
    with ThreadPoolExecutor(FETCHED_AHEAD) as fetchers:
        waiting: deque[tuple[str, Future[str | bytes | NetchuError]]] = deque()
        for path in files:
            waiting.append((path, fetchers.submit(_content, path)))
            if len(waiting) > FETCHED_AHEAD:
                first, content = waiting.popleft()
                yield first, content.result()
        for path, content in waiting:
            yield path, content.result()


def _content(path: str) -> str | bytes | NetchuError:
    if not is_address(path):
        return path
    try:
        with address_errors(path), fsspec.open(path, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except MissingPackageError:
        raise
    except NetchuError as error:
        return error
    if len(content) > MAX_BYTES:
        return NetchuError(f"{path}: more than {MAX_BYTES >> 20} MB; save it as JPEG")
    return content
