import io
import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import version

import cv2
import numpy as np
import pytest
from PIL import Image

import netchu
from bar_model import ALPHABET, BAR, HEIGHT, bars, write_bar_model
from netchu import Reader
from netchu.core.errors import NetchuError
from netchu.decoding.scaling import PlattScaling
from netchu.imaging.images import encode
from netchu.inference import reader
from netchu.inference.segmentation.line_boxes import LineBox, Segmentation
from netchu.release.ngrams import Corpora, mixture_components, write_language_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bar_model(tmp_path_factory.mktemp("bars"))


@pytest.fixture
def bar_reader(folder):
    return Reader(folder)


def page(texts, gap=40):
    """A photo of lines of bars below each other, and their boxes."""
    pictures = [bars(text) for text in texts]
    width = max(picture.shape[1] for picture in pictures) + 2 * gap
    photo_HW = np.full(((HEIGHT + gap) * len(texts) + gap, width), 255, np.uint8)
    boxes = []
    for place, picture in enumerate(pictures):
        top = gap + (HEIGHT + gap) * place
        photo_HW[top : top + HEIGHT, gap : gap + picture.shape[1]] = picture
        boxes.append((gap, top, gap + picture.shape[1], top + HEIGHT))
    return photo_HW, boxes


@pytest.fixture
def fake_segmentation(monkeypatch):
    """Replace the segmentation by given boxes for given photos."""

    def replace_segmentation(boxes_by_photo):
        def find(photo_HW, line=False):
            for known_HW, boxes in boxes_by_photo:
                if np.array_equal(photo_HW, known_HW):
                    return Segmentation(
                        tuple(LineBox(a, b, c, d, 0.0, b, d - b) for a, b, c, d in boxes)
                    )
            return Segmentation(())

        monkeypatch.setattr(reader, "segment", find)

    return replace_segmentation


# One line.


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_characters_of_a_line_have_their_positions(bar_reader, scale):
    reading = bar_reader.read(bars("abcdefgh", scale), line=True)
    assert reading.text == "abcdefgh"
    (line,) = reading.lines
    height, width = bars("abcdefgh", scale).shape
    assert reading.size == (width, height)
    assert line.box == (0, 0, width, height)
    assert "".join(c.text for c in line.characters) == line.text == reading.text
    for place, character in enumerate(line.characters):
        middle = (2 * place + 1.5) * BAR * scale
        assert (character.left + character.right) / 2 == pytest.approx(middle)
        assert character.right - character.left == pytest.approx(2 * BAR * scale)


def test_confidence_is_a_product_and_alternatives_are_listed(tmp_path):
    warm = Reader(write_bar_model(tmp_path / "warm", temperature=8.0))
    reading = warm.read(bars("adh"), line=True)
    (line,) = reading.lines
    confidences = [c.confidence for c in line.characters]
    assert reading.confidence == line.confidence == pytest.approx(np.prod(confidences))
    assert 0 < line.confidence < 1
    d = line.characters[1]
    assert {letter for letter, _ in d.alternatives[:2]} == {"c", "e"}
    assert all(0.01 <= p <= d.confidence for _, p in d.alternatives)


def test_every_kind_of_source_reads_the_same(bar_reader, tmp_path):
    picture = bars("abach")
    path = tmp_path / "photo.png"
    path.write_bytes(encode(picture))
    sources = [path, str(path), path.read_bytes(), picture, Image.fromarray(picture),
               np.dstack([picture] * 3)]  # fmt: skip
    readings = [bar_reader.read(source, line=True) for source in sources]
    assert readings[0].text == "abach"
    assert readings == [readings[0]] * len(sources)


def test_empty_paper_has_no_lines(bar_reader):
    for line in (False, True):
        reading = bar_reader.read(np.full((300, 400), 230, np.uint8), line=line)
        assert (reading.text, reading.confidence, reading.lines) == ("", 0.0, ())
        assert reading.size == (400, 300)


@pytest.fixture(scope="module")
def folder_with_language_model(tmp_path_factory):
    """The bar model with a language model of `dada` and `baba`."""
    folder = write_bar_model(
        tmp_path_factory.mktemp("folder_with_language_model"), temperature=30.0,
        scales={"characters": [0.5, 0.25], "lines": [0.8, -0.5]},
    )  # fmt: skip
    texts = ["dada baba"] * 300
    write_language_model(
        mixture_components(Corpora(texts, texts, ["da", "ba"], texts)),
        folder / "language_model.npz",
    )
    return folder


def test_the_language_model_in_the_folder_is_used_unless_greedy(folder_with_language_model):
    photo = bars("dadah")
    photo[photo == bars("dh")[0, 3 * BAR // 2]] = 255 - round(255 * 4.55 / 8)  # nearer to e
    assert (
        Reader(folder_with_language_model, greedy=True)
        .read(photo, line=True)
        .text.startswith("eaea")
    )
    assert Reader(folder_with_language_model).read(photo, line=True).text.startswith("dada")


def test_confidences_are_scaled_with_the_language_model(folder_with_language_model, tmp_path):
    plain = shutil.copytree(folder_with_language_model, tmp_path / "plain")
    card = json.loads((plain / "model.json").read_text())
    del card["scales"]
    (plain / "model.json").write_text(json.dumps(card))
    before, after = (
        Reader(f).read(bars("dadah"), line=True).lines[0]
        for f in (plain, folder_with_language_model)
    )
    assert before.confidence == pytest.approx(np.prod([c.confidence for c in before.characters]))
    scaled = [PlattScaling(0.5, 0.25).apply(c.confidence) for c in before.characters]
    assert [c.confidence for c in after.characters] == pytest.approx(scaled)
    assert after.confidence == pytest.approx(PlattScaling(0.8, -0.5).apply(float(np.prod(scaled))))


# Many photos.


def test_readings_are_in_order_and_an_error_does_not_stop_them(bar_reader, tmp_path):
    texts = ["".join(np.random.default_rng(n).choice(list(ALPHABET), n % 7 + 1)) + "h"
             for n in range(40)]  # fmt: skip
    sources = [bars(text) for text in texts]
    sources[7:7] = [tmp_path / "gone.png", b"no image"]
    results = list(bar_reader.read_many(iter(sources), line=True, batch=5))
    errors = results[7:9]
    assert all(isinstance(error, NetchuError) for error in errors)
    assert "gone.png" in str(errors[0])
    del results[7:9]
    assert [result.text for result in results] == texts


def test_a_batch_is_read_before_the_next_is_opened(bar_reader):
    opened = []

    def sources():
        for text in ("ah", "bh", "ch", "dh", "eh"):
            opened.append(text)
            yield bars(text)

    readings = bar_reader.read_many(sources(), line=True, batch=2)
    assert next(readings).text == "ah"
    assert opened == ["ah", "bh"]
    assert [reading.text for reading in readings] == ["bh", "ch", "dh", "eh"]


def test_no_photos_give_no_readings(bar_reader):
    assert list(bar_reader.read_many([])) == []


def test_large_photos_do_not_wait_for_a_full_batch(bar_reader, monkeypatch):
    monkeypatch.setattr(reader, "MAX_WAITING_PIXELS", 2 * bars("ah").size)
    sources = iter([bars("ah")] * 5)
    readings = bar_reader.read_many(sources, line=True)
    next(readings)
    assert len(list(sources)) == 3


def test_the_lines_of_a_page(bar_reader, fake_segmentation):
    photo_HW, boxes = page(["abch", "h", "hgfedcba"])
    fake_segmentation([(photo_HW, boxes)])
    reading = bar_reader.read(photo_HW)
    assert reading.text == "abch\nh\nhgfedcba"
    assert [line.box for line in reading.lines] == boxes
    assert reading.confidence == min(line.confidence for line in reading.lines)
    for line in reading.lines:
        ends = [line.box[0], *(x for c in line.characters for x in (c.left, c.right)), line.box[2]]
        assert ends == sorted(ends)
        first = line.characters[0]
        assert (first.left + first.right) / 2 == pytest.approx(line.box[0] + 1.5 * BAR, abs=BAR / 2)


def test_an_upside_down_page_is_read_rotated(bar_reader, fake_segmentation):
    upright_HW, boxes = page(["abch", "hgfedcba"])
    photo_HW = np.ascontiguousarray(upright_HW[::-1, ::-1])
    height, width = photo_HW.shape
    rotated = [(width - c, height - d, width - a, height - b) for a, b, c, d in boxes]
    fake_segmentation([(upright_HW, boxes), (photo_HW, rotated)])
    reading, straight = bar_reader.read(photo_HW), bar_reader.read(upright_HW)
    assert reading.text == straight.text == "abch\nhgfedcba"
    assert [line.box for line in reading.lines] == rotated
    for line, other in zip(reading.lines, straight.lines, strict=True):
        for character, same in zip(line.characters, other.characters, strict=True):
            assert character.text == same.text
            assert character.left == pytest.approx(width - same.right)
            assert character.right == pytest.approx(width - same.left)


@pytest.mark.parametrize(
    ("confidence", "reversed_confidence", "turned"),
    [(0.84, 0.9, True), (0.5, 0.9, True), (0.86, 0.99, False), (0.84, 0.88, False)],
)
def test_a_photo_below_85_percent_is_turned_if_that_gains_5_points_of_mean_confidence(
    bar_reader, fake_segmentation, monkeypatch, confidence, reversed_confidence, turned
):
    # Upside down nothing is read on the bars.
    photo_HW, boxes = page(["abch"])
    fake_segmentation([(photo_HW, boxes), (np.ascontiguousarray(photo_HW[::-1, ::-1]), boxes)])
    monkeypatch.setattr(
        reader,
        "mean_confidence",
        lambda reading: confidence if "abch" in reading.text else reversed_confidence,
    )
    assert (bar_reader.read(photo_HW).text != "abch") == turned


def test_of_a_turned_photo_with_many_lines_some_are_tried_first(
    bar_reader, fake_segmentation, monkeypatch
):
    upright_HW, boxes = page(["abch"] * 5)
    photo_HW = np.ascontiguousarray(upright_HW[::-1, ::-1])
    fake_segmentation([(upright_HW, boxes), (photo_HW, boxes)])
    monkeypatch.setattr(reader, "MAX_TRIAL_LINES", 2)
    tried, original = [], Reader._transcribe

    def transcribe(self, photos, batch):
        tried.append(len(photos[0].lines))
        return original(self, photos, batch)

    monkeypatch.setattr(Reader, "_transcribe", transcribe)
    assert bar_reader.read(photo_HW).text == "\n".join(["abch"] * 5)
    assert tried[:3] == [5, 2, 5]  # upside down nothing is read on the bars
    tried.clear()
    monkeypatch.setattr(reader, "mean_confidence", lambda reading: 0.5)
    assert bar_reader.read(photo_HW).turns == 0
    assert tried[:2] == [5, 2] and 5 not in tried[2:]


def test_a_photo_with_too_many_lines_is_an_error(bar_reader, fake_segmentation, monkeypatch):
    photo_HW, boxes = page(["abch", "h"])
    fake_segmentation([(photo_HW, boxes)])
    monkeypatch.setattr(reader, "MAX_LINES", 2)
    assert bar_reader.read(photo_HW).text == "abch\nh"
    monkeypatch.setattr(reader, "MAX_LINES", 1)
    with pytest.raises(NetchuError, match="the image: more than 1 lines"):
        bar_reader.read(photo_HW)


def test_a_line_is_not_rotated(bar_reader):
    assert bar_reader.read(bars("abch")[::-1, ::-1], line=True).text == ""


def test_a_photo_with_the_same_confidence_upside_down_is_not_rotated(
    bar_reader, fake_segmentation, monkeypatch
):
    monkeypatch.setattr(reader, "ROTATION_THRESHOLD", 2.0)  # read every photo both ways
    full_HW = bars("abh")
    full_HW[HEIGHT // 2 :] = full_HW[: HEIGHT // 2]
    box = (0, 0, full_HW.shape[1], HEIGHT)
    fake_segmentation([(full_HW, [box]), (full_HW[::-1, ::-1], [box])])
    assert bar_reader.read(full_HW).text == "abh"


def test_a_line_of_30000_pixels_is_read_to_its_end(bar_reader):
    letters = np.random.default_rng(5).choice(list(ALPHABET), 30_000 // (2 * BAR) - 2)
    text = "".join(letters) + "h"
    picture = bars(text)
    assert 29_000 < picture.shape[1] <= 30_000
    reading = bar_reader.read(picture, line=True)
    assert reading.text == text
    last = reading.lines[0].characters[-1]
    assert (last.left + last.right) / 2 == pytest.approx((2 * len(text) - 0.5) * BAR, abs=1)


def test_a_longer_line_is_squeezed(bar_reader, monkeypatch):
    seen = []
    monkeypatch.setattr(bar_reader.model, "_run", lambda images: seen.append(images.shape[2])
                        or np.ones((1, images.shape[2] // 4, 9), np.float32))  # fmt: skip
    bar_reader.read(np.full((8, 30_000), 255, np.uint8), line=True)
    assert sum(seen) < 1.2 * reader.MAX_LINE_WIDTH


def test_a_noisy_photo_of_twelve_megapixels_is_read_in_bounded_time(bar_reader):
    noise_HW = np.random.default_rng(3).integers(0, 256, (3000, 4000), np.uint8)
    begin = time.perf_counter()
    bar_reader.read(noise_HW)
    assert time.perf_counter() - begin < 20


# Imports.


def test_reading_needs_no_torch(folder, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encode(bars("abch")))
    code = f"""
import sys, netchu
assert "numpy" not in sys.modules
from netchu import Reader
assert Reader({str(folder)!r}).read({str(path)!r}, line=True).text == "abch"
heavy = {{"torch", "pandas", "pyarrow", "lightning", "matplotlib", "mlflow"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import netchu

    with pytest.raises(AttributeError, match="'netchu' has no attribute 'Writer'"):
        netchu.Writer  # noqa: B018


def test_a_pickled_reader_reads_the_same_in_a_process_that_starts_anew(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    reader = Reader(folder.name, greedy=True)
    pickled = pickle.dumps(reader)
    assert len(pickled) < 1000
    monkeypatch.chdir("/")
    assert pickle.loads(pickled).read(bars("abc"), line=True) == reader.read(bars("abc"), line=True)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        texts = pool.map(partial(read_text, reader), [bars("ah"), bars("bah"), bars("hc")])
    assert texts == ["ah", "bah", "hc"]


def read_text(reader, image):
    return reader.read(image, line=True).text


def test_the_version_is_that_of_the_package():
    assert netchu.__version__ == version("netchu")


def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(NetchuError, match="has no exported model"):
        Reader(tmp_path)


def test_size_is_that_after_the_exif_rotation(bar_reader):
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(bars("abch", 2)))).save(
        stream, "JPEG", quality=95, exif=exif
    )
    reading = bar_reader.read(stream.getvalue(), line=True)
    assert reading.text == "abch"
    assert reading.size == bars("abch", 2).shape[::-1]


def test_boxes_of_a_photo_that_is_reduced_are_in_its_own_pixels(bar_reader, monkeypatch):
    large_HW = np.kron(bars("abch"), np.ones((4, 4), np.uint8))
    content = cv2.imencode(".jpg", large_HW)[1].tobytes()
    whole = bar_reader.read(content, line=True)
    monkeypatch.setattr("netchu.imaging.photos.MAX_PIXELS", large_HW.size - 1)
    reduced = bar_reader.read(content, line=True)
    assert (reduced.text, reduced.size) == ("abch", large_HW.shape[::-1])
    assert (whole.text, whole.size) == (reduced.text, reduced.size)
    assert reduced.lines[0].box == whole.lines[0].box
    for one, other in zip(reduced.lines[0].characters, whole.lines[0].characters, strict=True):
        assert one.left == pytest.approx(other.left, abs=8)


def test_all_pages_of_a_scan_are_read(bar_reader):
    stream = io.BytesIO()
    pages = [Image.fromarray(bars(text)) for text in ("ah", "bah")]
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    readings = bar_reader.read_pages(stream.getvalue(), line=True)
    assert [reading.text for reading in readings] == ["ah", "bah"]
    (one,) = bar_reader.read_pages(encode(bars("ah")), line=True)
    assert one.text == "ah"
