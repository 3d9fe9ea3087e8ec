import subprocess
import sys

import cv2
import pandas as pd
import pytest

from bar_model import bars, write_bar_model
from netchu.core.errors import NetchuError
from netchu.inference.reader import Reader
from netchu.tracking.pyfunc import _load_pyfunc


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_bar_model(tmp_path_factory.mktemp("bars"))


def photo(text: str) -> bytes:
    return cv2.imencode(".png", bars(text))[1].tobytes()


def test_it_reads_like_the_reader_and_keeps_the_index(model):
    photos = [photo("hab"), photo("h"), photo("hhgc")]
    frame = pd.DataFrame({"image": photos}, index=[7, 3, 5])
    answer = _load_pyfunc(str(model)).predict(frame, {"line": True})
    own = [Reader(model).read(content, line=True) for content in photos]
    assert answer.index.tolist() == [7, 3, 5]
    assert answer["text"].tolist() == [reading.text for reading in own]
    assert answer["confidence"].tolist() == [reading.confidence for reading in own]
    assert answer["text"].tolist()[0] == "hab"


def test_a_photo_is_segmented_unless_it_is_a_line(model):
    frame = pd.DataFrame({"image": [photo("hab")]})
    assert _load_pyfunc(str(model)).predict(frame)["text"].tolist() == [
        Reader(model).read(photo("hab")).text
    ]


def test_an_empty_frame_gives_an_empty_answer(model):
    assert _load_pyfunc(str(model)).predict(pd.DataFrame({"image": []})).empty


def test_bad_input_is_an_error(model):
    reader = _load_pyfunc(str(model))
    with pytest.raises(NetchuError, match="no column 'image'"):
        reader.predict(pd.DataFrame({"picture": [b""]}))
    with pytest.raises(NetchuError, match="image 1: the image"):
        reader.predict(pd.DataFrame({"image": [photo("h"), b"no photo"]}))
    # The reader would open a path.
    with pytest.raises(NetchuError, match="image 0 is not bytes"):
        reader.predict(pd.DataFrame({"image": [str(model / "model.onnx")]}))


def test_it_needs_no_torch(model):
    code = (
        "import sys; from netchu.tracking.pyfunc import _load_pyfunc; _load_pyfunc(sys.argv[1]); "
        "assert not {'torch', 'pandas', 'mlflow'} & set(sys.modules), 'heavy'"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
