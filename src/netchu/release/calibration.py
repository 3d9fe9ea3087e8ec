"""Fit what makes confidences match how often readings are right, on labelled lines.

For greedy decoding that is a temperature, by which the logits of a CTC network are divided (Guo et
al. 2017, "On calibration of modern neural networks"). It changes no reading. It is fitted to single
characters; the confidence of a line is the product of those of its characters.

With a language model two Platt scalings are fitted instead, one for characters and one for the
product of a line's: errors then come word by word, and a character may be more probable than the
network says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jiwer
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.data.batches import frame_batches
from netchu.decoding.beam import BeamDecoder
from netchu.decoding.greedy import DecodeFunction, greedy_decode
from netchu.decoding.readings import joint_probability
from netchu.decoding.scaling import PlattScaling, fit_platt_scaling, softmax
from netchu.evaluation.metrics.confidence import expected_calibration_error
from netchu.inference.exported_card import SCALES
from netchu.models.ctc import CTCRecogniser

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

DIGITS = 6

_TEMPERATURES = (0.25, 4.0)
"""Lowest and highest temperature that is tried."""


@dataclass(frozen=True)
class Evidence:
    """The N characters that a network read on L labelled lines, decoded greedily.

    Attributes:
        logits_NV: logits at the time step where the character is most probable.
        ids_N: its class.
        correct_N: whether the alignment with the truth matches it.
        lines_N: index of its line.
        line_correct_L: whether the whole line is right.
    """

    logits_NV: Floats
    ids_N: NDArray[np.int64]
    correct_N: Bools
    lines_N: NDArray[np.int64]
    line_correct_L: Bools


class DecodedLine(NamedTuple):
    """A decoded line compared with its truth.

    Attributes:
        confidences: of its characters.
        correct: whether each of them is right.
        all_correct: whether the whole line is.
    """

    confidences: tuple[float, ...]
    correct: tuple[bool, ...]
    all_correct: bool


class ConfidenceScales(NamedTuple):
    """Scalings of character confidences, and of the products of a line's scaled characters."""

    characters: PlattScaling
    lines: PlattScaling


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and the calibration errors that are left.

    Attributes:
        greedy: `temperature` and errors of greedy decoding.
        scales: for decoding with a language model; None without one.
        decoder: errors of that decoding; empty without a language model.
    """

    greedy: dict[str, float]
    scales: ConfidenceScales | None
    decoder: dict[str, float]

    def card(self) -> dict[str, Any]:
        """Return the keys of a card that `ExportedModel` reads."""
        temperature = {"temperature": self.greedy["temperature"]}
        return temperature | ({SCALES: self.scales._asdict()} if self.scales else {})


class NothingReadError(NetchuError):
    """No character was read on any line."""


def fit_calibration(
    recogniser: CTCRecogniser, lines: pd.DataFrame, language_model: Path | None
) -> Calibration:
    """Fit temperature and scalings to labelled lines.

    Args:
        recogniser: with the weights as they are exported.
        lines: rows of a line table.
        language_model: its file, or None.

    Raises:
        NothingReadError: no character was read on any line.
    """
    codec = Codec(recogniser.alphabet)
    logits = list(_logits(recogniser, lines))
    greedy = fit_and_evaluate_temperature(collect_evidence(logits, codec))
    if language_model is None:
        return Calibration(greedy, None, {})
    probabilities = ((softmax(line, greedy["temperature"]), text) for line, text in logits)
    decode = BeamDecoder(recogniser.alphabet, language_model).decode
    decoded = decode_and_compare(probabilities, codec, decode)
    return Calibration(greedy, fit_scales(decoded), evaluate_scales(decoded))


@torch.inference_mode()
def _logits(
    recogniser: CTCRecogniser, lines: pd.DataFrame
) -> Iterator[tuple[NDArray[np.float32], str]]:
    """Yield logits (T, V) and text of each line."""
    for batch in frame_batches(lines, recogniser.preprocessing, 8):
        logits_BTV = recogniser(batch.images_BCHW).float().numpy()
        yield from zip(logits_BTV, batch.texts, strict=True)


def collect_evidence(lines: Iterable[tuple[Floats, str]], codec: Codec) -> Evidence:
    """Decode the logits (T, V) of each line greedily and compare with its truth (NFC).

    Raises:
        NothingReadError: no character was read on any line.
    """
    rows, ids, correct, numbers, line_correct = [], [], [], [], []
    for number, (logits_TV, truth) in enumerate(lines):
        emissions = greedy_decode(softmax(logits_TV))
        reading = codec.decode(e.id for e in emissions)
        for e in emissions:
            best_step = e.begin + int(logits_TV[e.begin : e.end, e.id].argmax())
            rows.append(logits_TV[best_step])
        ids += [e.id for e in emissions]
        correct += correct_characters(truth, reading)
        numbers += [number] * len(emissions)
        line_correct.append(truth == reading)
    if not rows:
        raise NothingReadError(
            "nothing was read on the validation lines; train the network further"
        )
    return Evidence(
        np.stack(rows), np.array(ids), np.array(correct), np.array(numbers), np.array(line_correct)
    )


def fit_and_evaluate_temperature(evidence: Evidence) -> dict[str, float]:
    """Return the fitted `temperature`, and expected calibration errors of characters and lines.

    Errors `…_ece_before` are at temperature 1. For `…_ece`, each half of the lines is scaled by
    the temperature that was fitted to the other half.
    """
    even, odd = _half(evidence, 0), _half(evidence, 1)
    halves = [(even, fit_temperature(odd)), (odd, fit_temperature(even))]

    def errors(
        confidences: Callable[[Evidence, float], Floats], correct: Callable[[Evidence], Bools]
    ) -> tuple[float, float]:
        after = np.concatenate([confidences(half, t) for half, t in halves])
        correct_after = np.concatenate([correct(half) for half, _ in halves])
        before = expected_calibration_error(confidences(evidence, 1.0), correct(evidence))
        return (
            round(before, DIGITS),
            round(expected_calibration_error(after, correct_after), DIGITS),
        )

    characters = errors(character_confidences, lambda e: e.correct_N)
    lines = errors(line_confidences, lambda e: e.line_correct_L)
    return {
        "temperature": fit_temperature(evidence),
        "character_ece_before": characters[0],
        "character_ece": characters[1],
        "line_ece_before": lines[0],
        "line_ece": lines[1],
    }


def decode_and_compare(
    lines: Iterable[tuple[NDArray[np.float32], str]], codec: Codec, decode: DecodeFunction
) -> list[DecodedLine]:
    """Decode the probabilities (T, V) of each line and compare with its truth (NFC)."""
    decoded = []
    for probabilities_TV, truth in lines:
        emissions = decode(probabilities_TV)
        reading = codec.decode(e.id for e in emissions)
        correct = tuple(correct_characters(truth, reading))
        confidences = tuple(e.probability for e in emissions)
        decoded.append(DecodedLine(confidences, correct, reading == truth))
    return decoded


def fit_scales(decoded: Sequence[DecodedLine]) -> ConfidenceScales:
    """Fit the scalings; lines on which nothing was read are left out."""
    confidences = [confidence for line in decoded for confidence in line.confidences]
    correct = [mark for line in decoded for mark in line.correct]
    characters = fit_platt_scaling(np.array(confidences), np.array(correct, np.bool_))
    read = [line for line in decoded if line.confidences]
    products = [
        joint_probability([characters.apply(confidence) for confidence in line.confidences])
        for line in read
    ]
    all_correct = np.array([line.all_correct for line in read], np.bool_)
    return ConfidenceScales(characters, fit_platt_scaling(np.array(products), all_correct))


def evaluate_scales(decoded: Sequence[DecodedLine]) -> dict[str, float]:
    """Return expected calibration errors of characters and lines.

    Each half of the lines is scaled as fitted to the other half.
    """
    characters: list[float] = []
    correct: list[bool] = []
    lines, all_correct = [], []
    for half, scales in (
        (decoded[::2], fit_scales(decoded[1::2])), (decoded[1::2], fit_scales(decoded[::2])),
    ):  # fmt: skip
        for line in half:
            scaled = [scales.characters.apply(confidence) for confidence in line.confidences]
            characters += scaled
            correct += line.correct
            lines.append(scales.lines.apply(joint_probability(scaled)))
            all_correct.append(line.all_correct)
    character_ece = expected_calibration_error(np.array(characters), np.array(correct))
    line_ece = expected_calibration_error(np.array(lines), np.array(all_correct))
    return {"character_ece": round(character_ece, DIGITS), "line_ece": round(line_ece, DIGITS)}


def correct_characters(truth: str, reading: str) -> list[bool]:
    """Return for each character of `reading` whether the best alignment matches it to `truth`."""
    correct = [False] * len(reading)
    if truth and reading:
        for chunk in jiwer.process_characters(truth, reading).alignments[0]:
            if chunk.type == "equal":
                for index in range(chunk.hyp_start_idx, chunk.hyp_end_idx):
                    correct[index] = True
    return correct


def fit_temperature(evidence: Evidence) -> float:
    """Return the temperature with the lowest negative log-likelihood of the characters."""
    low, high = _TEMPERATURES
    best = 1.0
    for _ in range(4):  # from a coarse to a fine grid; there is one minimum
        grid = np.geomspace(low, high, 9)
        losses = [_loss(character_confidences(evidence, t), evidence.correct_N) for t in grid]
        index = int(np.argmin(losses))
        best, low, high = grid[index], grid[max(index - 1, 0)], grid[min(index + 1, 8)]
    return round(float(best), 3)


def character_confidences(evidence: Evidence, temperature: float) -> Floats:
    """Return the probability of each character (N) at a temperature."""
    probabilities_NV = softmax(evidence.logits_NV, temperature)
    probabilities_N: Floats = probabilities_NV[np.arange(len(evidence.ids_N)), evidence.ids_N]
    return probabilities_N


def line_confidences(evidence: Evidence, temperature: float) -> Floats:
    """Return the product over the characters of each line (L); 0 if nothing was read on it."""
    number = len(evidence.line_correct_L)
    logs_N = np.log(np.maximum(character_confidences(evidence, temperature), 1e-30))
    logs_L = np.bincount(evidence.lines_N, logs_N, number)
    return np.where(np.bincount(evidence.lines_N, minlength=number) > 0, np.exp(logs_L), 0.0)


def _half(evidence: Evidence, remainder: int) -> Evidence:
    """Return the lines with an even index (remainder 0) or an odd one (1)."""
    chosen_N = evidence.lines_N % 2 == remainder
    return Evidence(
        evidence.logits_NV[chosen_N],
        evidence.ids_N[chosen_N],
        evidence.correct_N[chosen_N],
        evidence.lines_N[chosen_N] // 2,
        evidence.line_correct_L[remainder::2],
    )


def _loss(confidences_N: Floats, correct_N: Bools) -> float:
    clipped_N = np.clip(confidences_N, 1e-6, 1 - 1e-6)
    return float(-np.where(correct_N, np.log(clipped_N), np.log1p(-clipped_N)).mean())
