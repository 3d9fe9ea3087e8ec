"""What a baseline declares, and the worker process that reads lines with it.

Uses the standard library only and runs on Python 3.10, because baselines bring environments of
their own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WARM_UP_LINES = 3

ReadLine = Callable[[bytes], tuple[str, Sequence[float]]]
"""Encoded image -> its text, and the probabilities whose product is the line's confidence."""


class UnavailableError(Exception):
    """A baseline could not be measured; the message, one line, stands in its row of the table."""


@dataclass(frozen=True)
class Environment:
    """Packages that a baseline needs and that conflict with netchu's own environment.

    Attributes:
        name: folder of the environment.
        python: version of Python.
        packages: requirements for `uv pip install`.
    """

    name: str
    python: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Baseline:
    """A recogniser to compare with.

    Attributes:
        worker: module that reads lines when it is run, see `run_worker`.
        argument: for the worker's `load`.
        environment: where the worker runs; None is netchu's own environment.
        unusable_reason: why its readings are meaningless, so that only its speed is measured.
    """

    worker: str
    argument: str = ""
    environment: Environment | None = None
    unusable_reason: str = ""


@dataclass(frozen=True)
class LoadedBaseline:
    """A baseline that is ready to read; size_mb: of its weights, in 10^6 bytes."""

    read: ReadLine
    version: str
    size_mb: float
    parameters: int | None


def run_worker(load: Callable[[str], LoadedBaseline]) -> None:
    """Read the images of a folder one by one, sorted by name, and write the answers as JSON.

    Command-line arguments of the process: the folder, the JSON file, and the argument of `load`.
    The answer for a line is [text, confidence, milliseconds, failure]; the text is empty if the
    baseline fails on the line.
    """
    folder, out, argument = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    loaded = load(argument)
    images = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
    for image in images[:_WARM_UP_LINES]:
        _read_timed(loaded.read, image)
    answer = {
        "version": loaded.version,
        "size_mb": loaded.size_mb,
        "parameters": loaded.parameters,
        "lines": [_read_timed(loaded.read, image) for image in images],
    }
    out.write_text(json.dumps(answer), encoding="utf-8")


def _read_timed(read: ReadLine, image: bytes) -> tuple[str, float, float, str]:
    begin = time.perf_counter()
    text, probabilities, failure = "", [0.0], ""
    try:
        text, found = read(image)
        probabilities = [float(p) for p in found]
    except Exception as error:  # a third-party recogniser may raise anything on a single line
        failure = f"{type(error).__name__}: {error}"
    milliseconds = 1000 * (time.perf_counter() - begin)
    confidence = 1.0 if text.strip() else 0.0
    for probability in probabilities:
        confidence *= min(1.0, max(0.0, probability))
    return text, confidence, milliseconds, failure


def size_and_parameters(network: Any) -> tuple[float, int]:
    """Return the size of a torch network in megabytes (10^6 bytes), and its number of parameters.

    Buffers count for the size.
    """
    tensors = [*network.parameters(), *network.buffers()]
    megabytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6
    return round(megabytes, 3), sum(weight.numel() for weight in network.parameters())
