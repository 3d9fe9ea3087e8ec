"""Speed of a recogniser from encoded image to text: latency on one core, throughput on all."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch.backends import mkldnn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from netchu.data.batches import frame_batches
from netchu.imaging.images import Grey, decode, encode
from netchu.models.base import Recogniser

WARM_UP_LINES = 3

SAMPLE_HEIGHT, SAMPLE_WIDTHS = 64, (400, 800, 1600)
"""Pixels of the latency samples, before a system's own preprocessing."""

REPEATS = 10
"""Number of times each latency sample is read."""

REFERENCE_SHAPE, REFERENCE_LAYERS = (1, 64, 32, 200), 4
"""Input of the reference workload, and how often it is convolved with 3×3 weights."""

BATCH_SIZE, BATCHES = 16, 3
"""Throughput is measured on batches of the sample of middle width."""


def measure_speed(recogniser: Recogniser, lines: pd.DataFrame, number: int) -> dict[str, Any]:
    """Time the first `number` of `lines` one by one on one thread, after a warm-up.

    The time includes decoding and preprocessing the image.

    Returns:
        The content of `speed.json`: milliseconds per line (latency_p50_ms, latency_p95_ms) and
        timed_lines; by_width, the same with multiply-adds for the latency samples; relative_time,
        see `measure_relative_time`; throughput on all threads; device, machine and version of
        torch.
    """
    timed = lines.iloc[:number]
    samples = [latency_sample(timed, width) for width in SAMPLE_WIDTHS]
    middle = samples[len(SAMPLE_WIDTHS) // 2]
    with _one_thread():
        for index in range(min(WARM_UP_LINES, len(timed))):
            _time_reading(recogniser, timed.iloc[[index]])
        times = [_time_reading(recogniser, timed.iloc[[index]]) for index in range(len(timed))]
        by_width = [_measure_sample(recogniser, sample) for sample in samples]
        relative_time = measure_relative_time(recogniser, middle)
    batch = pd.concat([middle] * BATCH_SIZE)
    _time_reading(recogniser, batch)
    batch_ms = float(np.median([_time_reading(recogniser, batch) for _ in range(BATCHES)]))
    return {
        **latency_quantiles(times),
        "threads": 1,
        "by_width": by_width,
        "relative_time": relative_time,
        "throughput_lines_per_s": round(1000 * BATCH_SIZE / batch_ms, 1),
        "throughput_threads": torch.get_num_threads(),
        "device": str(recogniser.device),
        "machine": describe_machine(),
        "torch": torch.__version__,
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    # OpenCV runs on one thread already, see `netchu.data.loader`.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def latency_quantiles(times: Sequence[float]) -> dict[str, float | int]:
    """Return the median and the 95 % quantile of times in milliseconds, and their number."""
    return {
        "latency_p50_ms": round(float(np.quantile(times, 0.5)), 2),
        "latency_p95_ms": round(float(np.quantile(times, 0.95)), 2),
        "timed_lines": len(times),
    }


def _measure_sample(recogniser: Recogniser, sample: pd.DataFrame) -> dict[str, Any]:
    _time_reading(recogniser, sample)
    return {
        "height": SAMPLE_HEIGHT,
        "width": int(sample["width"].iloc[0]),
        **latency_quantiles([_time_reading(recogniser, sample) for _ in range(REPEATS)]),
        "multiply_adds": count_multiply_adds(recogniser, sample),
    }


def measure_relative_time(recogniser: Recogniser, line: pd.DataFrame) -> float | None:
    """Return the processor time of reading `line`, divided by that of the reference workload.

    The two alternate, and time in which other processes run does not count, so the ratio is nearly
    the same on a busy machine. None on other devices than the CPU, whose time is not the thread's.
    """
    if torch.device(recogniser.device).type != "cpu":
        return None
    _time_reading(recogniser, line)
    run_reference()
    times = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        _time_reading(recogniser, line)
        middle = time.thread_time()
        run_reference()
        times.append((middle - begin, time.thread_time() - middle))
    own, reference = np.median(times, axis=0)
    return round(float(own / reference), 3)


def run_reference() -> None:
    """Run a fixed workload, against which times of the same process are compared."""
    channels = REFERENCE_SHAPE[1]
    features_BCHW = torch.ones(REFERENCE_SHAPE)
    weights = torch.ones(channels, channels, 3, 3)
    for _ in range(REFERENCE_LAYERS):
        torch.nn.functional.conv2d(features_BCHW, weights, padding=1)


def _time_reading(recogniser: Recogniser, lines: pd.DataFrame) -> float:
    """Return the milliseconds it takes to read lines of one width as one batch."""
    begin = time.perf_counter()
    for batch in frame_batches(lines, recogniser.preprocessing, len(lines)):
        recogniser.transcribe(batch.to(recogniser.device))
    return (time.perf_counter() - begin) * 1000


def count_multiply_adds(recogniser: Recogniser, line: pd.DataFrame) -> int:
    """Count the multiply-adds of convolutions and matrix products while `line` is read.

    For an autoregressive decoder the number depends on the length of its reading.
    """
    counter = FlopCounterMode(display=False)
    # The counter does not see fused kernels of recurrent layers and attention.
    kernels = mkldnn.flags(enabled=False, allow_tf32=None)  # None leaves TF32 as it is
    with kernels, sdpa_kernel(SDPBackend.MATH), counter:
        _time_reading(recogniser, line)
    return int(counter.get_total_flops()) // 2


def latency_sample(lines: pd.DataFrame, width: int) -> pd.DataFrame:
    """Return one line of SAMPLE_HEIGHT × `width` pixels, made of `lines` joined side by side."""
    images: list[Grey] = []
    for name, encoded in cycle(zip(lines["id"], lines["image"], strict=True)):
        image = decode(encoded, f"line {name}")
        scaled_width = max(1, round(image.shape[1] * SAMPLE_HEIGHT / image.shape[0]))
        resized = cv2.resize(image, (scaled_width, SAMPLE_HEIGHT), interpolation=cv2.INTER_AREA)
        images.append(np.asarray(resized, np.uint8))
        if sum(image.shape[1] for image in images) >= width:
            break
    joined = encode(np.hstack(images)[:, :width])
    return lines.iloc[[0]].assign(image=[joined], width=width, height=SAMPLE_HEIGHT)


def describe_machine() -> str:
    """Return processor, number of cores, memory and operating system in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {memory:.0f} GB, {platform.system()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for row in cpuinfo.read_text(encoding="utf-8").splitlines():
            if row.startswith("model name"):
                return row.partition(":")[2].strip()
    return platform.processor() or platform.machine()
