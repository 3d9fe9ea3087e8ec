"""What a baseline is, and how the process that reads with it answers. Standard library only, and of
Python 3.10, for baselines bring environments of their own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM_UP = 3
"""Lines that are read before the clock counts."""

Read = Callable[[bytes], tuple[str, Sequence[float]]]
"""Encoded image -> its text, and the probabilities whose product is the line's confidence."""


class UnavailableError(Exception):
    """Why a baseline gave no figure, in one line; its row says so instead."""


@dataclass(frozen=True)
class Environment:
    """Packages that a baseline needs and netchu's own environment cannot hold."""

    name: str
    python: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Baseline:
    """What a user would pick instead.

    worker: the module that reads (`serve`). argument: what it is told besides. environment: where
    it runs; None is netchu's own. commands: of its training, from the folder of exported lines, the
    folder for its model, the environment's programs and the number of threads; None learns nothing.
    height: pixels of the lines it learns from and reads; 0 takes them as they are. unread: why its
    readings mean nothing, so that only its speed is told.
    """

    worker: str
    argument: str = ""
    environment: Environment | None = None
    commands: Callable[[Path, Path, Path, int], list[list[str]]] | None = None
    height: int = 0
    unread: str = ""


@dataclass(frozen=True)
class Loaded:
    """A baseline that is ready to read. size_mb: of its weights, 10^6 bytes."""

    read: Read
    version: str
    size_mb: float
    parameters: int | None


def epochs_between_checks(lines: Path, checked: int) -> float:
    """The share of an epoch after which to validate, where `train.txt` lists the lines.

    checked: training lines between two validations, each of which leaves a checkpoint.
    """
    listed = (lines / "train.txt").read_text(encoding="utf-8").count("\n")
    return round(min(1.0, checked / listed), 4)


def serve(load: Callable[[str], Loaded]) -> None:
    """Read the images of a folder one by one, by name; answer in a JSON file.

    Arguments of the process: the folder, the file, and what `load` is told. Each line's answer is
    [text, confidence, milliseconds, failure]; where the baseline fails on a line, its text is empty.
    """
    folder, out, argument = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    loaded = load(argument)
    images = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
    for image in images[:WARM_UP]:
        _timed(loaded.read, image)
    told = {
        "version": loaded.version,
        "size_mb": loaded.size_mb,
        "parameters": loaded.parameters,
        "lines": [_timed(loaded.read, image) for image in images],
    }
    out.write_text(json.dumps(told), encoding="utf-8")


def _timed(read: Read, image: bytes) -> tuple[str, float, float, str]:
    begin = time.perf_counter()
    text, probabilities, failure = "", [0.0], ""
    try:
        text, found = read(image)
        probabilities = [float(p) for p in found]
    except Exception as error:  # a foreign program may fail in any way, and one line is one line
        failure = f"{type(error).__name__}: {error}"
    milliseconds = 1000 * (time.perf_counter() - begin)
    confidence = 1.0 if text.strip() else 0.0
    for probability in probabilities:
        confidence *= min(1.0, max(0.0, probability))
    return text, confidence, milliseconds, failure


def weigh(network: Any) -> tuple[float, int]:
    """Megabytes (10^6 bytes) of a torch network's weights and buffers, and its weights' number."""
    held = [*network.parameters(), *network.buffers()]
    megabytes = sum(tensor.numel() * tensor.element_size() for tensor in held) / 1e6
    return round(megabytes, 3), sum(weight.numel() for weight in network.parameters())
