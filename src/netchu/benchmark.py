"""How long a line takes: one line at a time, on one core, from encoded bytes to text."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from netchu.loader import frame_batches
from netchu.models.base import Recogniser

WARM_UP = 3


def measure_speed(recogniser: Recogniser, lines: pd.DataFrame, number: int) -> dict[str, Any]:
    """Time `number` of `lines` one by one with one thread, after a warm-up
    (OpenCV has no threads of its own since `loader`).

    Decoding and preparing the image is part of the time. Returns milliseconds per line
    (latency_p50_ms, latency_p95_ms), how many lines were timed, and the machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        chosen = lines.iloc[:number]
        for place in range(min(WARM_UP, len(chosen))):
            _read_one(recogniser, chosen.iloc[[place]])
        times = [_read_one(recogniser, chosen.iloc[[place]]) for place in range(len(chosen))]
    finally:
        torch.set_num_threads(threads)
    return {
        "latency_p50_ms": round(float(np.quantile(times, 0.5)), 2),
        "latency_p95_ms": round(float(np.quantile(times, 0.95)), 2),
        "timed_lines": len(times),
        "threads": 1,
        "device": str(recogniser.device),
        "machine": machine(),
    }


def _read_one(recogniser: Recogniser, line: pd.DataFrame) -> float:
    """Milliseconds to read the only line of a frame."""
    begin = time.perf_counter()
    for batch in frame_batches(line, recogniser.preprocessing, 1):
        recogniser.transcribe(batch.to(recogniser.device))
    return (time.perf_counter() - begin) * 1000


def machine() -> str:
    """The processor's name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for row in cpuinfo.read_text(encoding="utf-8").splitlines():
            if row.startswith("model name"):
                return row.partition(":")[2].strip()
    return platform.processor() or platform.machine()
