"""From a trained system to the model people install: calibrated, exported, compared, timed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.files import write_json
from netchu.core.params import Params
from netchu.core.paths import CARD
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.evaluation.eval_subset import load_eval_subset
from netchu.evaluation.latency import WARM_UP_LINES, describe_machine
from netchu.evaluation.metrics.bootstrap import bootstrap_groups
from netchu.evaluation.metrics.confidence import reject_curve
from netchu.evaluation.metrics.edits import score_lines
from netchu.evaluation.metrics.rates import summarise
from netchu.imaging.images import decode, encode
from netchu.inference.reader import Reader
from netchu.models.ctc import CTCRecogniser
from netchu.models.model_folder import load_model, read_card
from netchu.models.transcription import read_lines
from netchu.release.calibration import DIGITS
from netchu.release.confidences import calibrated
from netchu.release.export import compare, export, rounded

KEPT = ("provenance", "training")
"""What the exported card says as the trained one does."""

FIGURES = ("calibration", "cer", "decoder", "test")
"""What of export.json the exported card tells, too."""

USUAL = (800, 64)
"""Width and height in pixels of the line whose time is comparable between releases."""


def release(params: Params, system: str, home: Path) -> dict[str, Any]:
    """Export the finetuned `system` to `home/export`; write `home/export.json`.

    Temperature and scales are fitted on validation lines, and on them the exported model is
    compared with the trained one. Test lines choose nothing: they are read once, after the export,
    for the agreement with torch and for the figures of the card. A language model comes along where
    the profile has one. Nothing written depends on the clock. Returns what export.json holds.

    Raises:
        NetchuError: no CTC network, or torch and the exported graph read a line differently.
    """
    folder, out = params.model_folder(system, "finetune"), home / "export"
    recogniser = load_model(folder)
    if not isinstance(recogniser, CTCRecogniser):
        raise NetchuError(f"{system} is no CTC network; only those are exported")
    file = home.with_name("language") / LANGUAGE_MODEL
    language_model = file if file.is_file() else None
    lines = whole_lines(params, "val")
    fitted = calibrated(rounded(recogniser), lines, language_model)
    trained = read_card(folder)
    card = {key: trained[key] for key in KEPT} | fitted.card()
    export(recogniser, out, card, fitted.calibration["temperature"], language_model)
    summary: dict[str, Any] = {"calibration": fitted.calibration}
    summary |= _validation(recogniser, out, lines)
    if language_model:
        summary["decoder"] |= fitted.decoder
        summary["language_model_mb"] = round(language_model.stat().st_size / 1e6, 3)
    summary["test"] = _test(params, out)
    told = {"figures": {key: summary[key] for key in FIGURES if key in summary}}
    write_json(read_card(out) | told, out / CARD)
    write_json(summary, home / "export.json")
    return summary


def whole_lines(params: Params, split: Literal["val", "test"]) -> pd.DataFrame:
    """The whole lines of a split: `val` calibrates and judges an export, `test` is told of it."""
    chosen = load_eval_subset(replace(params, evaluate=replace(params.evaluate, split=split)))
    return chosen[chosen["level"] == "line"].reset_index(drop=True)


def _agreement(folder: Path, lines: pd.DataFrame) -> pd.DataFrame:
    """What torch and the exported model in `folder` read, and what a decoder makes of it.

    Raises:
        NetchuError: they read a line differently.
    """
    again = load_model(folder)
    assert isinstance(again, CTCRecogniser)
    same = compare(again, folder, lines)
    differing = same.loc[same["torch"] != same["exported"], "id"].tolist()
    if differing:
        raise NetchuError(
            f"{folder} reads {len(differing)} of {len(same)} lines not as torch does "
            f"({differing[0]} first); do not ship it"
        )
    return same


def _validation(recogniser: CTCRecogniser, folder: Path, lines: pd.DataFrame) -> dict[str, Any]:
    """Agreement with torch, what rounding the weights cost, rates and reject curves."""
    same = _agreement(folder, lines)
    truths = same["text"].tolist()
    before = [reading.text for reading in read_lines(recogniser, lines, 8)]
    full = score_lines(lines["text"].tolist(), before)
    found: dict[str, Any] = {
        "lines": len(same),
        "apart": float(f"{same['apart'].max():.1e}"),
        "cer_before_export": round(full["edits"].sum() / full["characters"].sum(), DIGITS),
        "size_mb": round(sum(p.stat().st_size for p in folder.iterdir()) / 1e6, 3),
    } | _rates(truths, same["exported"], same["confidence"])
    if (folder / LANGUAGE_MODEL).is_file():
        found["decoder"] = _rates(truths, same["decoded"], same["decoded_confidence"])
    return found


def _rates(truths: list[str], readings: pd.Series, confidences: pd.Series) -> dict[str, Any]:
    scored = score_lines(truths, readings.tolist())
    edits, characters = scored["edits"].to_numpy(), scored["characters"].to_numpy()
    return {
        "cer": round(edits.sum() / characters.sum(), DIGITS),
        "reject": reject_curve(confidences.to_numpy(), scored),
    }


def _test(params: Params, folder: Path) -> dict[str, Any]:
    """The final figures: rates by dataset of the test lines, as a `Reader` decodes them.

    The network alone must read every one of them as torch does.
    """
    rates = {}
    for dataset, part in whole_lines(params, "test").groupby("dataset", sort=False):
        same = _agreement(folder, part)
        lines = part.set_index("id").loc[same["id"]].reset_index()
        scored = score_lines(same["text"].tolist(), same["decoded"].tolist())
        resamples = params.evaluate.resamples
        rates[str(dataset)] = summarise(scored, bootstrap_groups(lines), resamples, params.seed)
    return rates


def time_reading(params: Params, folder: Path, out: Path) -> dict[str, Any]:
    """Time the exported model in `folder` with one thread, from encoded bytes to text.

    Writes milliseconds per line to `out`: of validation lines, and of one of 64×800 pixels.
    """
    lines = whole_lines(params, "val")["image"].iloc[: params.evaluate.latency_lines]
    photos = [bytes(image) for image in lines]
    usual = encode(np.asarray(cv2.resize(decode(photos[0], "line"), USUAL), np.uint8))
    reader = Reader(folder, threads=1)
    for photo in photos[:WARM_UP_LINES]:
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
        "machine": describe_machine(),
    }
    write_json(speed, out)
    return speed


def _milliseconds(reader: Reader, photo: bytes) -> float:
    begin = time.perf_counter()
    reader.read(photo, line=True)
    return (time.perf_counter() - begin) * 1000
