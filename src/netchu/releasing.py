"""From a trained system to the model people install: calibrated, exported, compared, timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from netchu.benchmark import WARM_UP, machine
from netchu.calibration import DIGITS, calibrate, gather, reject_curve
from netchu.checkpoint import load_model, read_card, write_json
from netchu.codec import Codec
from netchu.errors import NetchuError
from netchu.evaluation import chosen_lines
from netchu.export import compare, export, rounded
from netchu.images import decode, encode
from netchu.loader import frame_batches
from netchu.metrics import score
from netchu.models.ctc import CTCRecogniser
from netchu.params import Params
from netchu.reader import Reader

KEPT = ("provenance", "training")
"""What the exported card says as the trained one does."""

USUAL = (800, 64)
"""Width and height in pixels of the line whose time is comparable between releases."""


def release(params: Params, system: str, home: Path) -> dict[str, Any]:
    """Export the finetuned `system` to `home/export`; write `home/export.json`.

    The temperature is fitted on validation lines, and on them the exported model is compared with
    the trained one. Nothing written depends on the clock. Returns what export.json holds.

    Raises:
        NetchuError: no CTC network, or torch and the exported graph read a line differently.
    """
    folder = params.model_folder(system, "finetune")
    recogniser = load_model(folder)
    if not isinstance(recogniser, CTCRecogniser):
        raise NetchuError(f"{system} is no CTC network; only those are exported")
    lines = validation_lines(params)
    calibration = calibrate(gather(_logits(rounded(recogniser), lines), Codec(recogniser.alphabet)))
    trained = read_card(folder)
    card = {key: trained[key] for key in KEPT} | {"figures": {"calibration": calibration}}
    export(recogniser, home / "export", card, calibration["temperature"])
    summary = {"calibration": calibration} | _comparison(recogniser, home / "export", lines)
    write_json(summary, home / "export.json")
    return summary


def validation_lines(params: Params) -> pd.DataFrame:
    """The lines by which an export is calibrated and judged; test lines stay unseen."""
    chosen = chosen_lines(replace(params, evaluate=replace(params.evaluate, split="val")))
    return chosen[chosen["level"] == "line"].reset_index(drop=True)


@torch.inference_mode()
def _logits(
    recogniser: CTCRecogniser, lines: pd.DataFrame
) -> Iterator[tuple[NDArray[np.float32], str]]:
    for batch in frame_batches(lines, recogniser.preprocessing, 8):
        logits_BTV = recogniser(batch.images_BCHW).float().numpy()
        yield from zip(logits_BTV, batch.texts, strict=True)


def _comparison(recogniser: CTCRecogniser, folder: Path, lines: pd.DataFrame) -> dict[str, Any]:
    """Agreement with torch, what rounding the weights cost, and the reject curve."""
    again = load_model(folder)
    assert isinstance(again, CTCRecogniser)
    same = compare(again, folder, lines)
    differing = same.loc[same["torch"] != same["exported"], "id"].tolist()
    if differing:
        raise NetchuError(
            f"{folder} reads {len(differing)} of {len(same)} lines not as torch does "
            f"({differing[0]} first); do not ship it"
        )
    truths = same["text"].tolist()
    scored = score(truths, same["exported"].tolist())
    edits, characters = scored["edits"].to_numpy(), scored["characters"].to_numpy()
    full = score(truths, _readings(recogniser, lines))
    curve = reject_curve(same["confidence"].to_numpy(), edits, characters)
    return {
        "lines": len(same),
        "apart": float(f"{same['apart'].max():.1e}"),
        "cer": round(edits.sum() / characters.sum(), DIGITS),
        "cer_before_export": round(full["edits"].sum() / characters.sum(), DIGITS),
        "reject": [{"kept": share, "cer": round(cer, DIGITS)} for share, cer in curve.items()],
        "size_mb": round(sum(p.stat().st_size for p in folder.iterdir()) / 1e6, 3),
    }


def _readings(recogniser: CTCRecogniser, lines: pd.DataFrame) -> list[str]:
    """In the order of `compare`'s rows."""
    batches = frame_batches(lines, recogniser.preprocessing, 8)
    return [reading.text for batch in batches for reading in recogniser.transcribe(batch)]


def time_reading(params: Params, folder: Path, out: Path) -> dict[str, Any]:
    """Time the exported model in `folder` with one thread, from encoded bytes to text.

    Writes milliseconds per line to `out`: of validation lines, and of one of 64×800 pixels.
    """
    lines = validation_lines(params)["image"].iloc[: params.evaluate.latency_lines]
    photos = [bytes(image) for image in lines]
    usual = encode(np.asarray(cv2.resize(decode(photos[0], "line"), USUAL), np.uint8))
    reader = Reader(folder, threads=1)
    for photo in photos[:WARM_UP]:
        reader.read(photo, line=True)
    times = [_milliseconds(reader, photo) for photo in photos]
    usual_times = [_milliseconds(reader, usual) for _ in photos]
    speed = {
        "latency_p50_ms": round(float(np.quantile(times, 0.5)), 2),
        "latency_p95_ms": round(float(np.quantile(times, 0.95)), 2),
        "latency_64x800_p50_ms": round(float(np.quantile(usual_times, 0.5)), 2),
        "timed_lines": len(times),
        "threads": 1,
        "device": "cpu",
        "machine": machine(),
    }
    write_json(speed, out)
    return speed


def _milliseconds(reader: Reader, photo: bytes) -> float:
    begin = time.perf_counter()
    reader.read(photo, line=True)
    return (time.perf_counter() - begin) * 1000
