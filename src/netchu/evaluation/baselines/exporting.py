"""Line tables as the baselines read them: a folder of PNG images, with `.gt.txt` where they learn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.params import Params, Strict
from netchu.data.line_table import read_table
from netchu.imaging.images import decode, encode

VALIDATION = 200
"""Validation lines, so that a baseline spends its minutes on learning."""


@dataclass(frozen=True)
class BaselineParams(Strict):
    """What params.yaml says of a baseline; one that learns nothing is given nothing.

    datasets: whose training lines it sees; one that is named twice is shown twice as often.
    levels: of these lines. minutes: of its training, start-up included, on the threads that every
    stage has; to be set to what the system beside it took.
    """

    datasets: tuple[str, ...] = ()
    levels: tuple[str, ...] = ("line",)
    minutes: float = 0.0


def write_images(lines: pd.DataFrame, folder: Path, height: int, prefix: str = "") -> list[Path]:
    """Write each line's image, numbered in order; `height` in pixels, 0 as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{prefix}{number:06d}.png" for number in range(len(lines))]
    for path, name, encoded in zip(paths, lines["id"], lines["image"], strict=True):
        path.write_bytes(_at_height(encoded, height, f"line {name}"))
    return paths


def _at_height(encoded: bytes, height: int, where: str) -> bytes:
    image = decode(encoded, where)
    if height and image.shape[0] != height:
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        shrinks = image.shape[0] > height
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
    return encode(image)


def write_training_lines(params: Params, wanted: BaselineParams, folder: Path, height: int) -> int:
    """Write what a baseline learns from: images, texts, and the lists train.txt and val.txt.

    Returns the number of training lines.

    Raises:
        NetchuError: an unknown dataset, or no line to learn from or to validate on.
    """
    for name in wanted.datasets:
        params.dataset(name)
    tables = [read_table(params.lines / name) for name in wanted.datasets]
    lines = pd.concat(tables, ignore_index=True)
    lines = lines[lines["level"].isin(wanted.levels)]
    training = lines[lines["split"] == "train"]
    validation = lines[lines["split"] == "val"].drop_duplicates(["source", "id"])
    if training.empty or validation.empty:
        raise NetchuError(
            f"{', '.join(wanted.datasets)}: no training or no validation line of level "
            f"{' or '.join(wanted.levels)}; name other datasets or levels for the baseline"
        )
    validation = validation.sample(min(VALIDATION, len(validation)), random_state=params.seed)
    for split, chosen in (("train", training), ("val", validation)):
        paths = write_images(chosen, folder, height, f"{split}-")
        _write_texts(paths, chosen["text"])
        listed = "".join(f"{path.resolve()}\n" for path in paths)
        (folder / f"{split}.txt").write_text(listed, encoding="utf-8")
    return len(training)


def _write_texts(paths: Iterable[Path], texts: Iterable[str]) -> None:
    for path, text in zip(paths, texts, strict=True):
        path.with_suffix(".gt.txt").write_text(text, encoding="utf-8")
