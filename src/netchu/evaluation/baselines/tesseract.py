"""Tesseract 5 with Debian's Vietnamese model, called through its C API."""

from __future__ import annotations

import atexit
import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netchu.evaluation.baselines.base import Baseline, LoadedBaseline, run_worker

BASELINE = Baseline("netchu.evaluation.baselines.tesseract")

LANGUAGE = "vie"
SINGLE_LINE = 7
"""Tesseract's page segmentation mode for an image of one line."""

_INSTALL = "apt-get install tesseract-ocr tesseract-ocr-vie"


def load(argument: str) -> LoadedBaseline:
    """Load the library and the model; `argument` is not used."""
    library, images = _library("libtesseract.so.5"), _library("liblept.so.5")
    for name in ("TessBaseAPICreate", "TessBaseAPIGetUTF8Text", "TessBaseAPIAllWordConfidences"):
        getattr(library, name).restype = ctypes.c_void_p
    for name in ("TessVersion", "TessBaseAPIGetDatapath"):
        getattr(library, name).restype = ctypes.c_char_p
    images.pixReadMem.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(library.TessBaseAPICreate())
    atexit.register(library.TessBaseAPIDelete, handle)
    if library.TessBaseAPIInit3(handle, None, LANGUAGE.encode()):
        raise SystemExit(f"tesseract has no Vietnamese model: {_INSTALL}")
    library.TessBaseAPISetPageSegMode(handle, SINGLE_LINE)
    version = f"tesseract {library.TessVersion().decode()}, {LANGUAGE}"
    model = Path(library.TessBaseAPIGetDatapath(handle).decode()) / f"{LANGUAGE}.traineddata"

    def read(image: bytes) -> tuple[str, Sequence[float]]:
        picture = ctypes.c_void_p(images.pixReadMem(image, ctypes.c_size_t(len(image))))
        library.TessBaseAPISetImage2(handle, picture)
        images.pixDestroy(ctypes.byref(picture))
        text = ctypes.c_void_p(library.TessBaseAPIGetUTF8Text(handle))
        if not text:
            return "", ()
        found = (ctypes.string_at(text).decode(), _confidences(library, handle))
        library.TessDeleteText(text)
        return found

    return LoadedBaseline(read, version, round(model.stat().st_size / 1e6, 3), None)


def _confidences(library: Any, handle: ctypes.c_void_p) -> list[float]:
    """Return the words' probabilities; the library gives integer percentages, terminated by -1."""
    address = library.TessBaseAPIAllWordConfidences(handle)
    numbers = ctypes.cast(address, ctypes.POINTER(ctypes.c_int))
    found: list[int] = []
    while numbers[len(found)] != -1:
        found.append(numbers[len(found)])
    library.TessDeleteIntArray(ctypes.c_void_p(address))
    return [number / 100 for number in found]


def _library(name: str) -> Any:
    try:
        return ctypes.CDLL(name)
    except OSError:
        raise SystemExit(f"tesseract is not installed: {_INSTALL}") from None


if __name__ == "__main__":
    run_worker(load)
