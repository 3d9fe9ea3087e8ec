"""The reader with an exported network of the project, beside torch."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import onnx
import pandas as pd
import pytest
import torch

import small_project
from netchu import Reader
from netchu.data.batches import LineBatch, frame_batches
from netchu.data.line_table import write_table
from netchu.evaluation.eval_subset import load_eval_subset
from netchu.evaluation.evaluate import evaluate_system
from netchu.inference import reader
from netchu.inference.exported_model import OVERLAP, WINDOW
from netchu.models.model_folder import save_model
from netchu.release import onnx_export
from netchu.training.stage import build_recogniser
from small_project import as_table


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory):
    """An untrained netchu_small, as an exported model."""
    network = build_recogniser(small_project.params(), "netchu_small").eval()
    return export_plainly(network, tmp_path_factory.mktemp("real")), network


def export_plainly(network, folder):
    """Export in single precision, so that readings can be compared with torch's."""
    onnx.save(onnx_export._graph(network), folder / "model.onnx")
    preprocessing = network.preprocessing
    card = {
        "alphabet": network.alphabet,
        "preprocessing": {
            "variant": preprocessing.variant,
            "height": preprocessing.height,
            "max_width": 0,
        },
        "step": 4,
        "temperature": 1.0,
    }
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


def test_the_network_gets_the_same_input_as_in_training(real_folder, monkeypatch):
    folder, network = real_folder
    lines = as_table(small_project.drawn_lines())
    seen = []
    real = Reader(folder)
    monkeypatch.setattr(
        real.model,
        "probabilities",
        lambda images: seen.append(images) or np.full((len(images), 3, 230), 1 / 230, np.float32),
    )
    for content in lines["image"]:
        real.read(content, line=True)
    wanted = {}
    for batch in frame_batches(lines, network.preprocessing, 1):
        wanted[batch.ids[0]] = batch.images_BCHW[:, 0].numpy()
    for line, image_BHW in zip(lines["id"], seen, strict=True):
        assert image_BHW.dtype == np.float32
        np.testing.assert_array_equal(image_BHW, wanted[line])


def test_readings_equal_those_of_the_torch_network(real_folder):
    folder, network = real_folder
    lines = as_table(small_project.drawn_lines())
    readings = Reader(folder).read_many(list(lines["image"]), line=True)
    read = dict(zip(lines["id"], readings, strict=True))
    some = 0
    for batch in frame_batches(lines, network.preprocessing, 4):
        assert isinstance(batch, LineBatch)
        for line, wanted in zip(batch.ids, network.transcribe(batch), strict=True):
            assert read[line].text == wanted.text
            assert read[line].confidence == pytest.approx(wanted.confidence, rel=1e-3)
            some += len(wanted.text)
    assert some > 0


def test_readings_equal_those_of_the_evaluate_stage(tmp_path, monkeypatch):
    """An untrained network with large weights, so that it reads varied texts."""
    monkeypatch.chdir(tmp_path)
    project = small_project.params()
    write_table(small_project.drawn_lines("test", 12), project.lines / "drawn")
    torch.manual_seed(4)
    network = build_recogniser(project, "netchu_small").eval()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1:
                weight.mul_(3)
    trained = project.model_folder("netchu_small", "finetune")
    trained.mkdir(parents=True)
    save_model(network, trained, {"training": [], "provenance": {}})
    (tmp_path / "model").mkdir()
    export_plainly(network, tmp_path / "model")
    evaluate_system(project, "netchu_small", tmp_path / "evaluation")
    rows = pd.read_parquet(tmp_path / "evaluation" / "predictions.parquet")
    rows = rows[rows["variant"] == "greedy"]
    lines = load_eval_subset(project).set_index("id")["image"]
    alone = Reader(tmp_path / "model", greedy=True)
    texts = [alone.read(lines[i], line=True).text for i in rows["id"]]
    assert texts == list(rows["reading"])
    assert len(set(texts)) > 5


# With a language model.


def test_a_line_reads_the_same_alone_and_in_a_batch(real_folder):
    images = [line.image for line in small_project.drawn_lines()]
    real = Reader(real_folder[0])
    alone = [real.read(image, line=True) for image in images]
    for batch in (3, 16):
        for one, other in zip(alone, real.read_many(images, line=True, batch=batch), strict=True):
            assert one.text == other.text
            assert one.confidence == pytest.approx(other.confidence, rel=1e-3)


def test_threads_can_share_a_reader(real_folder):
    images = [line.image for line in small_project.drawn_lines(number=16)]
    real = Reader(real_folder[0])
    alone = [real.read(image) for image in images]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(real.read, images * 4))
    assert together == alone * 4


# Pages.


def test_a_written_page_is_segmented_into_lines(real_folder):
    photo_HW = np.full((400, 900), 235, np.uint8)
    for place, text in enumerate(("hoa binh", "To 3 Lang", "quan 1")):
        cv2.putText(photo_HW, text, (60, 100 + 110 * place), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2,
                    30, 3)  # fmt: skip
    read = Reader(real_folder[0]).read(photo_HW)
    assert read.size == (900, 400)
    assert len(reader.segment(photo_HW).lines) == 3
    for line in read.lines:
        left, top, right, bottom = line.box
        assert 0 <= left < right <= 900
        assert 0 <= top < bottom <= 400


# Odd sizes, in bounded time.


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (1, 30_000), (30_000, 1), (40, 30_000),
                                   (30_000, 40), (3, 3)])  # fmt: skip
def test_any_size_is_read_in_bounded_time(real_folder, shape, line):
    noise_HW = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    begin = time.perf_counter()
    for photo_HW in (noise_HW, np.full(shape, 200, np.uint8)):
        reading = Reader(real_folder[0]).read(photo_HW, line=line)
        assert reading.size == (shape[1], shape[0])
    assert time.perf_counter() - begin < 20


def test_a_real_network_gives_the_same_inside_windows(tmp_path):
    project = small_project.params()
    network = build_recogniser(project, "netchu_small").eval()
    image = torch.rand(1, 1, 32, WINDOW + 640)
    with torch.inference_mode():
        whole_TV = network(image)[0]
        begin = WINDOW - 2 * OVERLAP
        first_TV, second_TV = network(image[..., :WINDOW])[0], network(image[..., begin:])[0]
    edge = (WINDOW - OVERLAP) // 4
    torch.testing.assert_close(first_TV[:edge], whole_TV[:edge])
    torch.testing.assert_close(second_TV[OVERLAP // 4 :], whole_TV[edge:])
