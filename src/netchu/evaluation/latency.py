"""What reading a line costs, from encoded bytes to text: time on one core, by width, and on all."""

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

WARM_UP = 3

HEIGHT, WIDTHS = 64, (400, 800, 1600)
"""Pixels of the pictures that are timed by width, before a system's own preprocessing."""

REPEATS = 10
"""Times that each of them is read."""

BATCH, BATCHES = 16, 3
"""Lines of the middle width read at once for the throughput, and how often."""


def measure_speed(recogniser: Recogniser, lines: pd.DataFrame, number: int) -> dict[str, Any]:
    """Time `number` of `lines` one by one with one thread, after a warm-up
    (OpenCV has no threads of its own since `loader`).

    Decoding and preparing the image is part of the time. Returns milliseconds per line
    (latency_p50_ms, latency_p95_ms), how many lines were timed, the same with the multiply-adds
    for lines of equal height by width, lines per second in batches on all threads, and the machine.
    """
    chosen = lines.iloc[:number]
    rulers = [ruler(chosen, width) for width in WIDTHS]
    with _one_thread():
        for place in range(min(WARM_UP, len(chosen))):
            _read(recogniser, chosen.iloc[[place]])
        times = [_read(recogniser, chosen.iloc[[place]]) for place in range(len(chosen))]
        by_width = [_at_width(recogniser, line) for line in rulers]
    batch = pd.concat([rulers[len(WIDTHS) // 2]] * BATCH, ignore_index=True)
    _read(recogniser, batch)
    batch_ms = float(np.median([_read(recogniser, batch) for _ in range(BATCHES)]))
    return {
        **latency(times),
        "threads": 1,
        "by_width": by_width,
        "throughput_lines_per_s": round(1000 * BATCH / batch_ms, 1),
        "throughput_threads": torch.get_num_threads(),
        "device": str(recogniser.device),
        "machine": machine(),
        "torch": torch.__version__,
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def latency(times: Sequence[float]) -> dict[str, float | int]:
    """Median and 95 % quantile of milliseconds, and how many there are."""
    return {
        "latency_p50_ms": round(float(np.quantile(times, 0.5)), 2),
        "latency_p95_ms": round(float(np.quantile(times, 0.95)), 2),
        "timed_lines": len(times),
    }


def _at_width(recogniser: Recogniser, line: pd.DataFrame) -> dict[str, Any]:
    _read(recogniser, line)
    return {
        "height": HEIGHT,
        "width": int(line["width"].iloc[0]),
        **latency([_read(recogniser, line) for _ in range(REPEATS)]),
        "multiply_adds": count_multiply_adds(recogniser, line),
    }


def _read(recogniser: Recogniser, lines: pd.DataFrame) -> float:
    """Milliseconds to read lines of one width together."""
    begin = time.perf_counter()
    for batch in frame_batches(lines, recogniser.preprocessing, len(lines)):
        recogniser.transcribe(batch.to(recogniser.device))
    return (time.perf_counter() - begin) * 1000


def count_multiply_adds(recogniser: Recogniser, line: pd.DataFrame) -> int:
    """Multiply-adds of convolutions and matrix products while `line` is read.

    A decoder that writes letter by letter costs as many as its reading is long.
    """
    counter = FlopCounterMode(display=False)
    # Fused kernels for recurrent layers and attention would not be counted.
    kernels = mkldnn.flags(enabled=False, allow_tf32=None)  # None: left as it is
    with kernels, sdpa_kernel(SDPBackend.MATH), counter:
        _read(recogniser, line)
    return int(counter.get_total_flops()) // 2


def ruler(lines: pd.DataFrame, width: int) -> pd.DataFrame:
    """One line of HEIGHT × `width` pixels, of the ink of `lines` put side by side."""
    pieces: list[Grey] = []
    for name, encoded in cycle(zip(lines["id"], lines["image"], strict=True)):
        image = decode(encoded, f"line {name}")
        breadth = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
        resized = cv2.resize(image, (breadth, HEIGHT), interpolation=cv2.INTER_AREA)
        pieces.append(np.asarray(resized, np.uint8))
        if sum(piece.shape[1] for piece in pieces) >= width:
            break
    picture = encode(np.hstack(pieces)[:, :width])
    return lines.iloc[[0]].assign(image=[picture], width=width, height=HEIGHT)


def machine() -> str:
    """Processor, cores, memory and system, as the machine tells them."""
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
