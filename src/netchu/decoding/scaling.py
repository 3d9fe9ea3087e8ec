"""Confidences that mean what they say, by Platt's scaling (1999, "Probabilistic outputs for support
vector machines"): a straight line through log-odds."""

from __future__ import annotations

from math import exp, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEAST = 1e-12
_TURNS = 50


class Scale(NamedTuple):
    """Log-odds are multiplied by `slope`, above 0, and moved by `shift`."""

    slope: float = 1.0
    shift: float = 0.0

    def of(self, confidence: float) -> float:
        """The scaled confidence; 0 stays 0."""
        if confidence <= 0:
            return 0.0
        sure = min(max(confidence, _LEAST), 1 - _LEAST)
        return 1 / (1 + exp(-self.slope * log(sure / (1 - sure)) - self.shift))


AS_IS = Scale()


def fit(confidence_N: NDArray[np.floating], right_N: NDArray[np.bool_]) -> Scale:
    """The scale at which it is likeliest that just these were right.

    Two more, at log-odds of 1 and −1, count as three quarters and one quarter right, so that a fit
    to few, or to none that is wrong, stays modest.
    """
    sure_N = np.clip(np.asarray(confidence_N, np.float64), _LEAST, 1 - _LEAST)
    odds_N = np.append(np.log(sure_N / (1 - sure_N)), [1.0, -1.0])
    wanted_N = np.append(right_N, [0.75, 0.25])
    features_N2 = np.stack([odds_N, np.ones(len(odds_N))], axis=1)
    weights_2 = np.zeros(2)
    for _ in range(_TURNS):  # Newton's method, with shorter steps where one leads too far
        chances_N = 1 / (1 + np.exp(-features_N2 @ weights_2))
        spread_N = np.maximum(chances_N * (1 - chances_N), 1e-9)
        curvature_22 = (features_N2 * spread_N[:, None]).T @ features_N2
        step_2 = np.linalg.solve(curvature_22, features_N2.T @ (chances_N - wanted_N))
        now = _loss(features_N2 @ weights_2, wanted_N)
        while (
            _loss(features_N2 @ (weights_2 - step_2), wanted_N) > now and abs(step_2).max() > 1e-9
        ):
            step_2 = step_2 / 2
        weights_2 = weights_2 - step_2
    slope, shift = weights_2.tolist()
    return Scale(round(max(slope, 0.01), 4), round(shift, 4))


def _loss(odds_N: Floats, wanted_N: Floats) -> float:
    return float((np.logaddexp(0, odds_N) - wanted_N * odds_N).sum())
