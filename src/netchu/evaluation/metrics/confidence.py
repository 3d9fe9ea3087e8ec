"""Whether the confidence of a line means what it says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.bootstrap import draw, interval
from netchu.evaluation.metrics.rates import rounded, with_ends
from netchu.release.calibration import BINS, bins, calibration_error, reject_curve


def calibration(
    confidence_L: NDArray[np.float64],
    right_L: NDArray[np.bool_],
    groups: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """The expected calibration error of whole lines (`ece`) with the ends of its 95 % interval.

    A resample keeps the bins. It lies further from calibration than the lines it is drawn from, by
    chance alone; the draws are moved by as much as their median exceeds the error.

    Raises:
        NetchuError: a confidence is no probability.
    """
    check(confidence_L)
    error = calibration_error(confidence_L, right_L)
    codes_L, names = pd.factorize(np.asarray(groups, dtype=object))
    apart_GB = np.zeros((len(names), BINS))
    for place, bin_lines in enumerate(bins(confidence_L)):
        gaps = confidence_L[bin_lines] - right_L[bin_lines]
        apart_GB[:, place] = np.bincount(codes_L[bin_lines], gaps, len(names))
    weights_RG = draw(len(names), resamples, seed)
    drawn_R = np.abs(weights_RG @ apart_GB).sum(1) / (weights_RG @ np.bincount(codes_L))
    low, high = interval(np.maximum(drawn_R - np.median(drawn_R) + error, 0))
    return with_ends("ece", error, (low, high))


def check(confidence_L: NDArray[np.float64]) -> None:
    """Refuse what is no probability, naming the first line of them by its place."""
    bad = np.flatnonzero(~((confidence_L >= 0) & (confidence_L <= 1)))
    if len(bad):
        raise NetchuError(
            f"confidence {bad[0]} is {confidence_L[bad[0]]}, not in 0 to 1; read the lines again"
        )


def reliability(
    confidence_L: NDArray[np.float64], right_L: NDArray[np.bool_]
) -> list[dict[str, float | int]]:
    """Mean confidence and share of right lines of each bin, the surest last."""
    return [
        {
            "confidence": rounded(confidence_L[chosen].mean()),
            "right": rounded(right_L[chosen].mean()),
            "lines": len(chosen),
        }
        for chosen in bins(confidence_L)
    ]


def rejecting(
    confidence_L: NDArray[np.float64], scored: pd.DataFrame
) -> list[dict[str, float | int]]:
    """CER of the surest lines alone, by per cent of the lines kept."""
    edits_L, characters_L = scored["edits"].to_numpy(), scored["characters"].to_numpy()
    curve = reject_curve(confidence_L, edits_L, characters_L)
    return [{"kept": share, "cer": rounded(cer)} for share, cer in curve.items()]
