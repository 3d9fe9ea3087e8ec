"""Export of line tables for baselines: PNG images, with a `.gt.txt` each for training lines."""

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

VALIDATION_LINES = 200
"""At most so many, so that a baseline spends its time on training."""


@dataclass(frozen=True)
class BaselineParams(Strict):
    """Parameters of a baseline in params.yaml; one that is not trained has none.

    Attributes:
        datasets: training data; a dataset that is named twice is shown twice as often.
        levels: of the training lines.
        minutes: training time with start-up, on the threads that every stage has; set it to the
            training time of the system it is compared with.
    """

    datasets: tuple[str, ...] = ()
    levels: tuple[str, ...] = ("line",)
    minutes: float = 0.0


def write_images(lines: pd.DataFrame, folder: Path, height: int, prefix: str = "") -> list[Path]:
    """Write each line's image as a numbered PNG; `height` in pixels, 0 keeps the line's own."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{prefix}{number:06d}.png" for number in range(len(lines))]
    for path, name, encoded in zip(paths, lines["id"], lines["image"], strict=True):
        path.write_bytes(_scale_to_height(encoded, height, f"line {name}"))
    return paths


def _scale_to_height(encoded: bytes, height: int, where: str) -> bytes:
    image = decode(encoded, where)
    if height and image.shape[0] != height:
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        shrinks = image.shape[0] > height
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(image, (width, height), interpolation=interpolation)
        image = np.asarray(resized, np.uint8)
    return encode(image)


def write_training_lines(
    params: Params, settings: BaselineParams, folder: Path, height: int
) -> int:
    """Write images and texts of training and validation lines, and the lists train.txt and val.txt.

    Returns the number of training lines.

    Raises:
        NetchuError: a dataset is unknown, or there is no training or no validation line.
    """
    for name in settings.datasets:
        params.dataset(name)
    tables = [read_table(params.lines / name) for name in settings.datasets]
    lines = pd.concat(tables, ignore_index=True)
    lines = lines[lines["level"].isin(settings.levels)]
    training = lines[lines["split"] == "train"]
    validation = lines[lines["split"] == "val"].drop_duplicates(["source", "id"])
    if training.empty or validation.empty:
        raise NetchuError(
            f"{', '.join(settings.datasets)}: no training or no validation line of level "
            f"{' or '.join(settings.levels)}; name other datasets or levels for the baseline"
        )
    validation = validation.sample(min(VALIDATION_LINES, len(validation)), random_state=params.seed)
    for split, selected in (("train", training), ("val", validation)):
        paths = write_images(selected, folder, height, f"{split}-")
        _write_texts(paths, selected["text"])
        listed = "".join(f"{path.resolve()}\n" for path in paths)
        (folder / f"{split}.txt").write_text(listed, encoding="utf-8")
    return len(training)


def _write_texts(paths: Iterable[Path], texts: Iterable[str]) -> None:
    for path, text in zip(paths, texts, strict=True):
        path.with_suffix(".gt.txt").write_text(text, encoding="utf-8")
