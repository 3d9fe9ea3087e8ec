"""Pages of PDF files as grey images, through PDFium (the extra `pdf`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from netchu.core.errors import NetchuError
from netchu.imaging.images import Grey

DPI = 300
"""Resolution of a page, in pixels per inch."""

MAX_PAGE_PIXELS = 25_000_000
MAX_PAGE_SIDE = 20_000
"""A page that would have more pixels, or a longer side, is rendered at a lower resolution."""

_pdfium_lock = threading.Lock()
"""PDFium may be used by one thread at a time."""


def is_pdf(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a PDF; up to 1 kB may precede the mark."""
    return b"%PDF-" in head[:1024]


def count_pages(content: bytes | Path, where: str) -> int:
    """Return the number of pages.

    Raises:
        NetchuError: PDFium is not installed, or the file is damaged or encrypted.
    """
    with _open(content, where) as document:
        return len(document)


def render_page(content: bytes | Path, where: str, number: int) -> Grey:
    """Return page `number`, from 1, as grey HW on white.

    Raises:
        NetchuError: PDFium is not installed, the file is damaged or encrypted, or the page is.
    """
    with _open(content, where) as document:
        page = document[number - 1]
        width, height = page.get_size()
        if not (width > 0 and height > 0):
            raise NetchuError(f"{where}: this page has no size; save it anew")
        scale = min(
            DPI / 72, sqrt(MAX_PAGE_PIXELS / (width * height)), MAX_PAGE_SIDE / max(width, height)
        )
        return np.array(page.render(scale=scale, grayscale=True).to_numpy(), np.uint8)


@contextmanager
def _open(content: bytes | Path, where: str) -> Iterator[Any]:
    try:
        import pypdfium2
    except ModuleNotFoundError:
        raise NetchuError(f"{where}: PDF needs pip install 'netchu[pdf]'") from None
    with _pdfium_lock:
        try:
            document = pypdfium2.PdfDocument(content)
        except pypdfium2.PdfiumError as error:
            raise NetchuError(
                f"{where}: the PDF is damaged or needs a password ({error}); save it anew"
            ) from None
        try:
            yield document
        except pypdfium2.PdfiumError as error:
            raise NetchuError(f"{where}: the PDF is damaged ({error}); save it anew") from None
        finally:
            document.close()
