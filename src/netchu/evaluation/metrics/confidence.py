"""Calibration of confidences: expected calibration error, reliability diagram, reject curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.bootstrap import quantile_interval, resample_weights
from netchu.evaluation.metrics.rates import round_metric, with_interval

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

BINS = 15
"""Number of bins of equal size that confidences are sorted into."""

KEPT_PERCENTAGES = (100, 95, 90, 80, 70, 50)
"""Points of a reject curve: percent of the lines that are kept."""


def ece_with_interval(
    confidence_L: NDArray[np.float64],
    right_L: Bools,
    groups: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """Return `ece`, the expected calibration error of whole lines, with its 95 % interval.

    The bins stay fixed in every resample. By chance alone a resample is worse calibrated than the
    lines it is drawn from, so the draws are shifted until their median equals the error.

    Raises:
        NetchuError: a confidence lies outside 0 to 1.
    """
    _check_confidences(confidence_L)
    error = expected_calibration_error(confidence_L, right_L)
    codes_L, names = pd.factorize(np.asarray(groups, dtype=object))
    gaps_GB = np.zeros((len(names), BINS))
    for number, bin_lines in enumerate(confidence_bins(confidence_L)):
        gaps = confidence_L[bin_lines] - right_L[bin_lines]
        gaps_GB[:, number] = np.bincount(codes_L[bin_lines], gaps, len(names))
    weights_RG = resample_weights(len(names), resamples, seed)
    errors_R = np.abs(weights_RG @ gaps_GB).sum(1) / (weights_RG @ np.bincount(codes_L))
    return with_interval(
        "ece", error, quantile_interval(np.maximum(errors_R - np.median(errors_R) + error, 0))
    )


def _check_confidences(confidence_L: NDArray[np.float64]) -> None:
    bad = np.flatnonzero(~((confidence_L >= 0) & (confidence_L <= 1)))
    if len(bad):
        raise NetchuError(
            f"confidence {bad[0]} is {confidence_L[bad[0]]}, not in 0 to 1; read the lines again"
        )


def expected_calibration_error(confidence_N: Floats, right_N: Bools) -> float:
    """Return the mean distance between confidence and accuracy over the bins, weighted by size.

    0 is perfect calibration (or no prediction), 1 the worst possible. Bins hold equally many
    predictions, as in Nguyen and O'Connor 2015, "Posterior calibration and exploratory analysis".
    """
    if not len(confidence_N):
        return 0.0
    gaps = [
        abs(confidence_N[members].mean() - right_N[members].mean()) * len(members)
        for members in confidence_bins(confidence_N)
    ]
    return float(sum(gaps) / len(confidence_N))


def confidence_bins(confidence_N: Floats) -> list[NDArray[np.intp]]:
    """Return the indices in each of BINS bins of equal size, most confident last; none is empty."""
    order = np.argsort(confidence_N, kind="stable")
    return [members for members in np.array_split(order, BINS) if len(members)]


def reliability(confidence_L: NDArray[np.float64], right_L: Bools) -> list[dict[str, float | int]]:
    """Return mean confidence and accuracy of each bin, most confident last."""
    return [
        {
            "confidence": round_metric(confidence_L[members].mean()),
            "right": round_metric(right_L[members].mean()),
            "lines": len(members),
        }
        for members in confidence_bins(confidence_L)
    ]


def reject_curve(confidence_L: Floats, scored: pd.DataFrame) -> list[dict[str, float | int]]:
    """Return the CER of the most confident lines, by percent of the lines kept.

    Args:
        confidence_L: confidences of the lines.
        scored: the lines' `edits` and `characters`, in the same order.

    Raises:
        NetchuError: there is no line.
    """
    if not len(confidence_L):
        raise NetchuError("no line to order by confidence; is the split empty?")
    edits_L, characters_L = scored["edits"].to_numpy(), scored["characters"].to_numpy()
    order = np.argsort(-confidence_L, kind="stable")
    curve = []
    for percentage in KEPT_PERCENTAGES:
        kept = order[: max(1, round(len(order) * percentage / 100))]
        cer = round_metric(edits_L[kept].sum() / characters_L[kept].sum())
        curve.append({"kept": percentage, "cer": cer})
    return curve
