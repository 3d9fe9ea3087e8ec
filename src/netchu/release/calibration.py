"""Whether a confidence means what it says, and what makes it so.

A CTC network's logits are divided by one number, the temperature, before the softmax (Guo et al.
2017, "On calibration of modern neural networks"). It changes no reading, only how sure it is. It is
fitted so that the probabilities of single characters fit how often they are right; the product of
a line's characters is then the probability that the whole line is.

What a language model has settled is another matter: letters of one word are wrong together, and a
letter may be likelier than the network holds it. There two scales are fitted (`scaling.py`), one for
characters and one for the product of a line's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jiwer
import numpy as np
from numpy.typing import NDArray

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.decoding import scaling
from netchu.decoding.greedy import DecodeFunction, greedy_decode
from netchu.decoding.readings import joint_probability
from netchu.decoding.scaling import PlattScaling, softmax
from netchu.evaluation.metrics.confidence import expected_calibration_error

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Errors = tuple[float, float]

DIGITS = 6

_SEARCH = (0.25, 4.0)
"""Temperatures that are tried."""


@dataclass(frozen=True)
class Evidence:
    """What a network wrote on labelled lines, N characters on L lines.

    logits_NV: at the step where each character is surest. ids_N: its class. right_N: whether it
    stands in the truth. lines_N: the number of its line. line_right_L: whether all of it is right.
    """

    logits_NV: Floats
    ids_N: NDArray[np.int64]
    right_N: Bools
    lines_N: NDArray[np.int64]
    line_right_L: Bools


class Judged(NamedTuple):
    """A decoded line: its characters' confidences, which are right, and whether all of it is."""

    characters: tuple[float, ...]
    right: tuple[bool, ...]
    whole: bool


class Scales(NamedTuple):
    """Of characters, and of the products of lines' scaled characters."""

    characters: PlattScaling
    lines: PlattScaling


Confidences = Callable[[Evidence, float], Floats]
"""Confidences of characters or lines at a temperature."""


def gather(lines: Iterable[tuple[Floats, str]], codec: Codec) -> Evidence:
    """Decode the logits (T, V) of each line greedily and compare with its truth (NFC).

    Raises:
        NetchuError: no character was read on any line.
    """
    rows, ids, right, numbers, line_right = [], [], [], [], []
    for number, (logits_TV, truth) in enumerate(lines):
        emissions = greedy_decode(softmax(logits_TV))
        reading = codec.decode(e.id for e in emissions)
        for e in emissions:
            surest = e.begin + int(logits_TV[e.begin : e.end, e.id].argmax())
            rows.append(logits_TV[surest])
        ids += [e.id for e in emissions]
        right += right_characters(truth, reading)
        numbers += [number] * len(emissions)
        line_right.append(truth == reading)
    if not rows:
        raise NetchuError("nothing was read on the validation lines; train the network first")
    return Evidence(
        np.stack(rows), np.array(ids), np.array(right), np.array(numbers), np.array(line_right)
    )


def calibrate(evidence: Evidence) -> dict[str, float]:
    """The fitted `temperature`, and expected calibration errors of characters and of whole lines.

    `…_ece_before` is at temperature 1; `…_ece` is what a temperature of every other line does to
    the lines between them, so that none is judged by what it was fitted on.
    """
    first, second = _part(evidence, 0), _part(evidence, 1)
    judged = [(first, fit_temperature(second)), (second, fit_temperature(first))]

    def before_and_after(confidences: Confidences, right: Callable[[Evidence], Bools]) -> Errors:
        after = np.concatenate([confidences(half, t) for half, t in judged])
        right_after = np.concatenate([right(half) for half, _ in judged])
        return (
            round(expected_calibration_error(confidences(evidence, 1.0), right(evidence)), DIGITS),
            round(expected_calibration_error(after, right_after), DIGITS),
        )

    characters = before_and_after(character_confidences, lambda e: e.right_N)
    lines = before_and_after(line_confidences, lambda e: e.line_right_L)
    return {
        "temperature": fit_temperature(evidence),
        "character_ece_before": characters[0],
        "character_ece": characters[1],
        "line_ece_before": lines[0],
        "line_ece": lines[1],
    }


def judge(
    lines: Iterable[tuple[NDArray[np.float32], str]], codec: Codec, decode: DecodeFunction
) -> list[Judged]:
    """Decode the probabilities (T, V) of each line and compare with its truth (NFC)."""
    judged = []
    for probabilities_TV, truth in lines:
        emissions = decode(probabilities_TV)
        reading = codec.decode(e.id for e in emissions)
        right = tuple(right_characters(truth, reading))
        judged.append(Judged(tuple(e.probability for e in emissions), right, reading == truth))
    return judged


def fit_scales(judged: Sequence[Judged]) -> Scales:
    """The scales that fit how often characters and lines are right."""
    confidences = [sure for line in judged for sure in line.characters]
    right = [mark for line in judged for mark in line.right]
    characters = scaling.fit_platt_scaling(np.array(confidences), np.array(right, np.bool_))
    written = [line for line in judged if line.characters]
    products = [
        joint_probability([characters.apply(sure) for sure in line.characters]) for line in written
    ]
    wholes = np.array([line.whole for line in written], np.bool_)
    return Scales(characters, scaling.fit_platt_scaling(np.array(products), wholes))


def scale_errors(judged: Sequence[Judged]) -> dict[str, float]:
    """Expected calibration errors of characters and lines, by scales of every other line."""
    characters: list[float] = []
    right: list[bool] = []
    lines, wholes = [], []
    for half, scales in (
        (judged[::2], fit_scales(judged[1::2])), (judged[1::2], fit_scales(judged[::2])),
    ):  # fmt: skip
        for line in half:
            sure = [scales.characters.apply(confidence) for confidence in line.characters]
            characters += sure
            right += line.right
            lines.append(scales.lines.apply(joint_probability(sure)))
            wholes.append(line.whole)
    character_ece = expected_calibration_error(np.array(characters), np.array(right))
    line_ece = expected_calibration_error(np.array(lines), np.array(wholes))
    return {"character_ece": round(character_ece, DIGITS), "line_ece": round(line_ece, DIGITS)}


def right_characters(truth: str, reading: str) -> list[bool]:
    """Of each character of `reading`, whether the best alignment finds it in `truth`."""
    right = [False] * len(reading)
    if truth and reading:
        for chunk in jiwer.process_characters(truth, reading).alignments[0]:
            if chunk.type == "equal":
                for place in range(chunk.hyp_start_idx, chunk.hyp_end_idx):
                    right[place] = True
    return right


def fit_temperature(evidence: Evidence) -> float:
    """The temperature at which the characters' negative log-likelihood is least."""
    low, high = _SEARCH
    best = 1.0
    for _ in range(4):  # from coarse to fine: the curve has one valley
        tried = np.geomspace(low, high, 9)
        losses = [_loss(character_confidences(evidence, t), evidence.right_N) for t in tried]
        place = int(np.argmin(losses))
        best, low, high = tried[place], tried[max(place - 1, 0)], tried[min(place + 1, 8)]
    return round(float(best), 3)


def character_confidences(evidence: Evidence, temperature: float) -> Floats:
    """The probability of each character (N) at a temperature."""
    probabilities_NV = softmax(evidence.logits_NV, temperature)
    chosen: Floats = probabilities_NV[np.arange(len(evidence.ids_N)), evidence.ids_N]
    return chosen


def line_confidences(evidence: Evidence, temperature: float) -> Floats:
    """The product of each line's characters (L); 0 where nothing was read."""
    number = len(evidence.line_right_L)
    logs_N = np.log(np.maximum(character_confidences(evidence, temperature), 1e-30))
    logs_L = np.bincount(evidence.lines_N, logs_N, number)
    return np.where(np.bincount(evidence.lines_N, minlength=number) > 0, np.exp(logs_L), 0.0)


def _part(evidence: Evidence, rest: int) -> Evidence:
    """Every other line: the even ones (rest 0) or the odd (1)."""
    chosen_N = evidence.lines_N % 2 == rest
    return Evidence(
        evidence.logits_NV[chosen_N],
        evidence.ids_N[chosen_N],
        evidence.right_N[chosen_N],
        evidence.lines_N[chosen_N] // 2,
        evidence.line_right_L[rest::2],
    )


def _loss(confidence_N: Floats, right_N: Bools) -> float:
    sure_N = np.clip(confidence_N, 1e-6, 1 - 1e-6)
    return float(-np.where(right_N, np.log(sure_N), np.log1p(-sure_N)).mean())
