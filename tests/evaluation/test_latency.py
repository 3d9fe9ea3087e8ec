import re
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import small_project
from netchu.evaluation import latency
from netchu.evaluation.latency import (
    SAMPLE_WIDTHS,
    count_multiply_adds,
    describe_machine,
    latency_quantiles,
    latency_sample,
    measure_relative_time,
    measure_speed,
    run_reference,
)
from netchu.imaging.images import decode
from netchu.imaging.preparation import Preprocessing

HEIGHT = 32


def lines() -> pd.DataFrame:
    return pd.DataFrame([vars(line) for line in small_project.drawn_lines()])


def reader(read) -> SimpleNamespace:
    """A stand-in for a recogniser that calls `read` on the images."""
    return SimpleNamespace(
        preprocessing=Preprocessing("grey", HEIGHT),
        device=torch.device("cpu"),
        transcribe=lambda batch: read(batch.images_BCHW),
    )


def test_a_latency_sample_has_its_width_and_ink_along_all_of_it():
    for width in (5, *SAMPLE_WIDTHS):
        line = latency_sample(lines(), width)
        image = decode(line["image"].iloc[0], "sample")
        assert image.shape == (64, width)
        assert line[["height", "width"]].iloc[0].tolist() == [64, width]
    assert all((image[:, left : left + 100] < 100).any() for left in range(0, 1600, 100))


@torch.no_grad()
def test_multiply_adds_of_a_convolution_and_a_linear_layer():
    convolution, linear = nn.Conv2d(1, 5, 3, padding=1), nn.Linear(HEIGHT, 7)
    counted = count_multiply_adds(
        reader(lambda x: linear(convolution(x).transpose(2, 3))), latency_sample(lines(), 400)
    )
    prepared = 224  # 400 px of 64 in height are 200 of 32, in steps of 32
    assert counted == HEIGHT * prepared * 5 * 9 + 5 * prepared * HEIGHT * 7


@torch.no_grad()
def test_multiply_adds_of_fused_recurrent_layers_and_attention():
    lstm = nn.LSTM(HEIGHT, 6, batch_first=True, bidirectional=True)
    steps = 224
    counted = count_multiply_adds(
        reader(lambda x: lstm(x[:, 0].transpose(1, 2))), latency_sample(lines(), 400)
    )
    assert counted == 2 * steps * 4 * 6 * (HEIGHT + 6)

    def attend(images):
        steps_B1TH = images.transpose(2, 3)
        return nn.functional.scaled_dot_product_attention(steps_B1TH, steps_B1TH, steps_B1TH)

    assert (
        count_multiply_adds(reader(attend), latency_sample(lines(), 400))
        == 2 * steps * steps * HEIGHT
    )


@torch.no_grad()
def test_speed_has_every_width_and_threads_are_restored():
    convolution = nn.Conv2d(1, 2, 3, padding=1)
    seen = []

    def read(images):
        seen.append((torch.get_num_threads(), tuple(images.shape)))
        return convolution(images)

    threads = torch.get_num_threads()
    speed = measure_speed(reader(read), lines(), 4)
    assert torch.get_num_threads() == threads == speed["throughput_threads"]
    assert speed["timed_lines"] == 4
    assert [row["width"] for row in speed["by_width"]] == list(SAMPLE_WIDTHS)
    counts = [row["multiply_adds"] for row in speed["by_width"]]
    assert counts == sorted(counts)
    assert counts[0] > 0
    assert speed["throughput_lines_per_s"] > 0
    assert speed["relative_time"] > 0
    batches = [shape for count, shape in seen if shape[0] > 1]
    assert set(batches) == {(16, 1, HEIGHT, 416)}
    assert {count for count, shape in seen if shape[0] == 1} == {1}


def test_every_figure_has_its_name_and_unit(monkeypatch):
    # A line takes 2.7 ms, 16 lines as one batch 43.2 ms.
    monkeypatch.setattr(latency, "_time_reading", lambda recogniser, lines: 2.7 * len(lines))
    monkeypatch.setattr(latency, "measure_relative_time", lambda recogniser, line: 1.5)
    monkeypatch.setattr(latency, "count_multiply_adds", lambda recogniser, line: 99)
    monkeypatch.setattr(latency, "describe_machine", lambda: "some, 2 cores")
    times = {"latency_p50_ms": 2.7, "latency_p95_ms": 2.7}
    assert measure_speed(reader(None), lines(), 3) == {
        **times, "timed_lines": 3, "threads": 1, "relative_time": 1.5,
        "by_width": [
            {**times, "timed_lines": 10, "height": 64, "width": width, "multiply_adds": 99}
            for width in SAMPLE_WIDTHS
        ],
        "throughput_lines_per_s": 370.4, "throughput_threads": torch.get_num_threads(),
        "device": "cpu", "machine": "some, 2 cores", "torch": torch.__version__,
    }  # fmt: skip


def test_the_time_of_a_reading_is_in_milliseconds(monkeypatch):
    clock = iter([10.0, 12.5])
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert latency._time_reading(reader(lambda images: None), lines().iloc[[0]]) == 2500


def test_the_reference_workload_is_four_convolutions():
    with FlopCounterMode(display=False) as counter:
        run_reference()
    assert counter.get_total_flops() // 2 == 4 * 64 * 32 * 200 * 64 * 9


def test_the_relative_time_is_that_of_the_work_and_not_of_waiting():
    def read(images):
        time.sleep(0.2)
        for _ in range(4):
            run_reference()

    assert 3.2 < measure_relative_time(reader(read), latency_sample(lines(), 400)) < 5


def test_a_gpu_has_no_relative_time():
    gpu = reader(lambda images: None)
    gpu.device = torch.device("cuda")
    assert measure_relative_time(gpu, latency_sample(lines(), 400)) is None


def test_latency_quantiles():
    assert latency_quantiles([1, 2, 3, 4, 100]) == {
        "latency_p50_ms": 3, "latency_p95_ms": pytest.approx(80.8), "timed_lines": 5
    }  # fmt: skip


def test_the_machine_is_described_in_one_line():
    (model, *_) = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    found = describe_machine()
    assert re.fullmatch(rf"{re.escape(model)}, \d+ cores, \d+ GB, Linux", found)
