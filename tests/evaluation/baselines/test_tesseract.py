import ctypes
from pathlib import Path

import cv2
import numpy as np
import pytest

from netchu.evaluation.baselines import tesseract
from netchu.imaging.images import encode


def installed():
    try:
        ctypes.CDLL("libtesseract.so.5")
    except OSError:
        return False
    return any(Path("/usr/share/tesseract-ocr").glob("*/tessdata/vie.traineddata"))


@pytest.mark.skipif(not installed(), reason="tesseract with its Vietnamese model is not installed")
def test_tesseract_reads_printed_text_with_the_words_probabilities():
    loaded = tesseract.load("")
    picture = np.full((64, 420), 255, np.uint8)
    cv2.putText(picture, "hoa binh 12", (12, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.4, 0, 2)
    text, probabilities = loaded.read(encode(picture))
    assert "12" in text
    assert len(probabilities) == len(text.split())
    assert all(0 < p <= 1 for p in probabilities)
    assert loaded.version.startswith("tesseract 5")
    assert loaded.size_mb > 0.1


def test_without_the_library_the_error_names_the_packages(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(SystemExit) as raised:
        tesseract.load("")
    assert str(raised.value) == (
        "tesseract is not installed: apt-get install tesseract-ocr tesseract-ocr-vie"
    )
