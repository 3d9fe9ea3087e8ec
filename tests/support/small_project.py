"""A tiny project for tests: generated lines, an untrained netchu_small, and its params."""

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from netchu.core.files import write_json
from netchu.core.params import Params, parse_config
from netchu.data.line_table import Line, Skipped, write_skipped, write_table
from netchu.imaging.images import encode
from netchu.models.model_folder import save_model
from netchu.training.stage import build_recogniser

PHASE = {"datasets": ["drawn"], "epochs": 1, "steps_per_epoch": 1, "batch_size": 2}
MODEL = {"height": 32, "channels": [4, 4, 8, 8], "mixers": 1}
WORDS = ("hoà bình", "Tổ 3", "đường Láng", "quận 1", "xã Yên Hoà", "ấp 5", "nghĩa", "phường 12")


def numbered(*phases: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return phases by name, as in params.yaml: phase1, phase2."""
    return {f"phase{number}": phase for number, phase in enumerate(phases, start=1)}


def as_table(lines: list[Line]) -> pd.DataFrame:
    """Return lines as `read_table` does."""
    return pd.DataFrame([dataclasses.asdict(line) for line in lines])


def params(**changes: Any) -> Params:
    """Return params of a project with one system and one dataset of generated lines.

    With other datasets it has no system.
    """
    system = {"model": MODEL, "pretrain": numbered(PHASE), "finetune": numbered(PHASE)}
    content = {
        "profile": "tiny",
        "seed": 7,
        "compute": {"threads": 1, "workers": 0},
        "trainer": {},
        "sources": {},
        "synthetic": {},
        "datasets": {"drawn": {"source": "synthetic", "input": "nowhere"}},
        "systems": {"netchu_small": system},
        "evaluate": {"datasets": ["drawn"], "latency_lines": 2, "resamples": 50, "batch_size": 4},
        "report": {"gallery": ["drawn"], "gallery_lines": 2},
    }
    if "drawn" not in changes.get("datasets", ["drawn"]):
        other = {"evaluate": {"datasets": list(changes["datasets"])}, "report": {}}
        content |= {"systems": {}} | other
    return parse_config(Params, content | changes, "test params")


def picture(text: str, height: int = 40) -> np.ndarray:
    """Return an image of dark strokes on light paper, one per character of `text`."""
    image = np.full((height, 16 * len(text) + 16), 235, np.uint8)
    for place, letter in enumerate(text):
        x = 8 + 16 * place
        cv2.line(image, (x, 8), (x + ord(letter) % 12, height - 8), 30, 2)
    return image


def drawn_lines(split: str = "test", number: int = 12) -> list[Line]:
    """Return lines of two writers and two levels."""
    lines = []
    for place in range(number):
        text = WORDS[place % len(WORDS)]
        image = picture(text)
        lines.append(
            Line(
                id=f"{split}-{place:02d}",
                image=encode(image),
                text=text,
                writer=f"hand {place % 2}",
                source="drawn",
                level="line" if " " in text else "word",
                split=split,
                width=image.shape[1],
                height=image.shape[0],
            )
        )
    return lines


def write_lines(project: Params) -> None:
    """Write the table `drawn` with test and training lines, one of them skipped."""
    lines = drawn_lines("test") + drawn_lines("train", 4)
    write_table(lines, project.lines / "drawn", [Skipped("blank-1", "empty label")])


def training_history() -> pd.DataFrame:
    """Return the history of two phases of two epochs."""
    return pd.DataFrame(
        {
            "stage": "finetune",
            "phase": [0, 0, 1, 1],
            "epoch": [0, 1, 0, 1],
            "step": [5, 10, 5, 10],
            "train_loss": [4.0, 3.0, 2.0, 1.5],
            "val_loss": [4.1, 3.1, 2.1, 1.6],
            "val_cer": [float("nan"), 0.9, 0.8, 0.7],
            "learning_rate": [1e-3, 1e-3, 1e-4, 1e-4],
        }
    )


def write_model(project: Params) -> Path:
    """Write an untrained model folder with the files that training writes."""
    folder = project.model_folder("netchu_small", "finetune")
    folder.mkdir(parents=True)
    card = {
        "stage": "finetune",
        "provenance": {"seed": 7, "data": {"drawn": "00"}},
        "training": [
            {"stage": "finetune", "lines": 4, "epochs": 2, "val_cer": 0.9, "images_seen_at_most": 8}
        ],
    }
    save_model(build_recogniser(project, "netchu_small"), folder, card)
    write_skipped([Skipped("train-01", "too short for CTC: 3 time steps for 'hoà bình'")], folder)
    training_history().to_csv(folder / "history.csv", index=False)
    write_json({"seconds": 61.5}, folder.with_name("finetune.cost.json"))
    return folder
