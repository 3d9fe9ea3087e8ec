"""The stage export: calibrate a system, export it, check it against torch, and time it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd

from netchu.core.errors import NetchuError
from netchu.core.files import read_json, write_json
from netchu.core.params import Params
from netchu.core.paths import CARD
from netchu.data.held_out import texts_of_tables
from netchu.data.published_splits import mislabelled
from netchu.decoding.language_model import LANGUAGE_MODEL, TEXTS
from netchu.evaluation.eval_subset import load_eval_subset
from netchu.evaluation.latency import WARM_UP_LINES, describe_machine, latency_quantiles
from netchu.evaluation.metrics.bootstrap import bootstrap_groups
from netchu.evaluation.metrics.confidence import reject_curve
from netchu.evaluation.metrics.edits import score_lines
from netchu.evaluation.metrics.rates import summarise
from netchu.imaging.images import decode, encode
from netchu.inference.reader import Reader
from netchu.models.ctc import CTCRecogniser
from netchu.models.export_files import EXPORT, EXPORT_FOLDER, EXPORT_SPEED, WHY_EMPTY
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model
from netchu.models.transcription import read_lines
from netchu.release.calibration import DIGITS, NothingReadError, fit_calibration
from netchu.release.onnx_export import export_recogniser, read_with_both, round_weights

COPIED_KEYS = ("provenance", "training")
"""Keys of the trained model's card that the exported card copies."""

FIGURES = ("calibration", "cer", "decoder", "test", "new_texts", "well_labelled")
"""Keys of export.json that the exported card copies."""

MAX_EXPORT_LOSS = 0.003
"""Largest difference of the CER that 8 bits may cost, as a share of the characters."""

LATENCY_SIZE = (800, 64)
"""Width and height in pixels of the line whose latency is comparable between releases."""


def export_system(params: Params, system: str, home: Path) -> dict[str, Any]:
    """Export the fine-tuned `system` to `home/export`; write `home/export.json`, see `EXPORT`.

    Temperature, scalings and the ranges of numbers in 8 bits are fitted to validation lines, on
    which the exported model is also compared with the trained one. Test lines are read once, after
    the export, for the figures of the card. The language model of the profile, if there is one, is
    part of the export. Nothing that is written depends on the clock. A system that reads nothing on
    the validation lines gives an empty folder, and its reason in export.json.

    Returns:
        The content of export.json.

    Raises:
        NetchuError: the network is no CTC network, or the exported model reads worse than torch.
    """
    params.system(system)  # an unknown system is an error that lists the known ones
    folder, out = params.model_folder(system, "finetune"), home / EXPORT_FOLDER
    recogniser = load_model(folder)
    if not isinstance(recogniser, CTCRecogniser):
        raise NetchuError(
            f"{system}: {recogniser.network} is not a CTC network; only those can be exported"
        )
    file = home.with_name("language") / LANGUAGE_MODEL
    language_model = file if file.is_file() else None
    lines = load_lines(params, "val")
    try:
        calibration = fit_calibration(round_weights(recogniser), lines, language_model)
    except NothingReadError as reason:
        out.mkdir(parents=True, exist_ok=True)
        empty = {WHY_EMPTY: str(reason)}
        write_json(empty, home / EXPORT)
        return empty
    trained = read_card(folder)
    card = {key: trained[key] for key in COPIED_KEYS} | calibration.card()
    export_recogniser(
        recogniser, out, card, lines, calibration.greedy["temperature"], language_model
    )
    summary: dict[str, Any] = {"calibration": calibration.greedy}
    summary |= _validation(recogniser, out, lines)
    if language_model:
        summary["decoder"] |= calibration.decoder
        texts = language_model.with_name(TEXTS)
        summary["texts"] = read_json(texts, "run 'dvc repro language'") if texts.is_file() else {}
        summary["language_model_mb"] = round(language_model.stat().st_size / 1e6, 3)
    summary |= _test(params, out)
    figures = {key: summary[key] for key in FIGURES if key in summary}
    write_json(read_card(out) | {"figures": figures}, out / CARD)
    write_json(summary, home / EXPORT)
    return summary


def load_lines(params: Params, split: Literal["val", "test"]) -> pd.DataFrame:
    """Return the lines of a split that the evaluation reads, without words and paragraphs."""
    chosen = load_eval_subset(replace(params, evaluate=replace(params.evaluate, split=split)))
    return chosen[chosen["level"] == "line"].reset_index(drop=True)


def read_export(folder: Path, lines: pd.DataFrame) -> pd.DataFrame:
    """Return the readings of torch and of the exported model in `folder`; see `read_with_both`."""
    recogniser = load_model(folder)
    assert isinstance(recogniser, CTCRecogniser)
    return read_with_both(recogniser, folder, lines)


def _validation(recogniser: CTCRecogniser, folder: Path, lines: pd.DataFrame) -> dict[str, Any]:
    """Return CER before and after the export, reject curves, and the share of lines that the
    exported model reads differently from torch with the same weights.

    Raises:
        NetchuError: the exported model reads worse than torch by more than `MAX_EXPORT_LOSS`.
    """
    readings = read_export(folder, lines)
    truths = readings["text"].tolist()
    exported = _rates(truths, readings["exported"], readings["confidence"])
    in_torch = _cer(truths, readings["torch"].tolist())
    # A network that gets everything wrong has nothing to lose; what it writes is chance.
    if in_torch < 1 and exported["cer"] > in_torch + MAX_EXPORT_LOSS:
        raise NetchuError(
            f"{folder} reads {len(readings)} lines with a CER of {exported['cer']:.2%}, torch with "
            f"{in_torch:.2%}; do not ship it"
        )
    trained = [reading.text for reading in read_lines(recogniser, lines, 8)]
    summary: dict[str, Any] = {
        "lines": len(readings),
        "read_differently": round(
            float((readings["torch"] != readings["exported"]).mean()), DIGITS
        ),
        "cer_before_export": _cer(lines["text"].tolist(), trained),
        "size_mb": round(sum(p.stat().st_size for p in folder.iterdir()) / 1e6, 3),
    } | exported
    if (folder / LANGUAGE_MODEL).is_file():
        summary["decoder"] = _rates(truths, readings["decoded"], readings["decoded_confidence"])
    return summary


def _cer(truths: list[str], readings: list[str]) -> float:
    scored = score_lines(truths, readings)
    return float(round(scored["edits"].sum() / scored["characters"].sum(), DIGITS))


def _rates(truths: list[str], readings: pd.Series, confidences: pd.Series) -> dict[str, Any]:
    scored = score_lines(truths, readings.tolist())
    edits, characters = scored["edits"].to_numpy(), scored["characters"].to_numpy()
    return {
        "cer": round(edits.sum() / characters.sum(), DIGITS),
        "reject": reject_curve(confidences.to_numpy(), scored),
    }


def _test(params: Params, folder: Path) -> dict[str, Any]:
    """Return rates of the test lines, as a `Reader` reads them.

    Returns:
        `test`: rates by dataset. `new_texts`: rates of the lines that share no `SHARED_WORDS`
        consecutive words with a training label, `decoded` and `greedy`, by dataset, for datasets
        that have others as well. `well_labelled`: likewise without the lines that are listed as
        `mislabelled`, for datasets that have some.
    """
    known = texts_of_tables(params, ("train",))
    test: dict[str, Any] = {}
    new_texts: dict[str, Any] = {}
    well_labelled: dict[str, Any] = {}
    for dataset, part in load_lines(params, "test").groupby("dataset", sort=False):
        readings = read_export(folder, part)
        lines = part.set_index("id").loc[readings["id"]].reset_index()
        test[str(dataset)] = _summary(params, lines, readings["decoded"])
        new = np.array([not known.shares_words(text) for text in lines["text"]])
        right = ~lines["id"].isin(mislabelled()).to_numpy()
        for chosen, rates in ((new, new_texts), (right, well_labelled)):
            if 0 < chosen.sum() < len(chosen):
                rates[str(dataset)] = {
                    "decoded": _summary(params, lines[chosen], readings.loc[chosen, "decoded"]),
                    "greedy": _summary(params, lines[chosen], readings.loc[chosen, "exported"]),
                }
    return {"test": test, "new_texts": new_texts, "well_labelled": well_labelled}


def _summary(params: Params, lines: pd.DataFrame, readings: pd.Series) -> dict[str, Any]:
    scored = score_lines(lines["text"].tolist(), readings.tolist())
    groups = bootstrap_groups(lines.reset_index(drop=True))
    return summarise(scored, groups, params.evaluate.resamples, params.seed)


def time_export(params: Params, home: Path) -> dict[str, Any]:
    """Time the exported model in `home` with one thread, from encoded image to text.

    Writes milliseconds per line to export.speed.json, see `EXPORT_SPEED`: of validation lines, and
    of a line of 64×800 pixels. If the export is empty, the file holds the reason.

    Returns:
        The content of the file.
    """
    exported = read_json(home / EXPORT, "run 'dvc repro' to export the system")
    if WHY_EMPTY in exported:
        write_json(exported, home / EXPORT_SPEED)
        return dict(exported)
    lines = load_lines(params, "val")["image"].iloc[: params.evaluate.latency_lines]
    images = [bytes(image) for image in lines]
    sample = encode(np.asarray(cv2.resize(decode(images[0], "line"), LATENCY_SIZE), np.uint8))
    reader = Reader(home / EXPORT_FOLDER, threads=1)
    for image in images[:WARM_UP_LINES]:
        reader.read(image, line=True)
    times = [_milliseconds(reader, image) for image in images]
    sample_times = [_milliseconds(reader, sample) for _ in images]
    speed = {
        **latency_quantiles(times),
        "latency_64x800_p50_ms": latency_quantiles(sample_times)["latency_p50_ms"],
        "threads": 1,
        "device": "cpu",
        "machine": describe_machine(),
    }
    write_json(speed, home / EXPORT_SPEED)
    return speed


def _milliseconds(reader: Reader, image: bytes) -> float:
    begin = time.perf_counter()
    reader.read(image, line=True)
    return (time.perf_counter() - begin) * 1000
