"""Scaling of confidences so that they match how often readings are right.

Logits are divided by a temperature before the softmax (Guo et al. 2017, "On calibration of modern
neural networks"); probabilities that a language model has changed are scaled as in Platt 1999,
"Probabilistic outputs for support vector machines": by a linear function of their log-odds.
"""

from __future__ import annotations

from math import exp, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EPSILON = 1e-12
_NEWTON_STEPS = 50


def softmax(logits_V: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float32]:
    """Return the softmax along the last axis of logits of shape (…, V).

    Log-probabilities work as logits. A temperature above 1 makes the probabilities more equal, one
    below 1 less.
    """
    powers_V = (logits_V - logits_V.max(-1, keepdims=True)) / np.float32(temperature)
    powers_V = np.exp(powers_V, dtype=np.float32)
    return np.asarray(powers_V / powers_V.sum(-1, keepdims=True), np.float32)


class PlattScaling(NamedTuple):
    """Multiply log-odds by `slope`, which is above 0, and add `intercept`."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, confidence: float) -> float:
        """Return the scaled confidence; 0 stays 0."""
        if confidence <= 0:
            return 0.0
        clipped = min(max(confidence, _EPSILON), 1 - _EPSILON)
        return 1 / (1 + exp(-self.slope * log(clipped / (1 - clipped)) - self.intercept))


NO_SCALING = PlattScaling()


def fit_platt_scaling(
    confidences_N: NDArray[np.floating], correct_N: NDArray[np.bool_]
) -> PlattScaling:
    """Fit the scaling by maximum likelihood, with Newton's method.

    Two pseudo-samples, three quarters correct at log-odds 1 and one quarter at −1, keep the fit
    moderate where there are few samples or none that is wrong.

    Args:
        confidences_N: unscaled confidences.
        correct_N: whether each of them was right.
    """
    clipped_N = np.clip(np.asarray(confidences_N, np.float64), _EPSILON, 1 - _EPSILON)
    log_odds_N = np.append(np.log(clipped_N / (1 - clipped_N)), [1.0, -1.0])
    targets_N = np.append(correct_N, [0.75, 0.25])
    features_N2 = np.stack([log_odds_N, np.ones(len(log_odds_N))], axis=1)
    weights_2 = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        predicted_N = 1 / (1 + np.exp(-features_N2 @ weights_2))
        variance_N = np.maximum(predicted_N * (1 - predicted_N), 1e-9)
        hessian_22 = (features_N2 * variance_N[:, None]).T @ features_N2
        step_2 = np.linalg.solve(hessian_22, features_N2.T @ (predicted_N - targets_N))
        loss = _log_loss(features_N2 @ weights_2, targets_N)
        while (
            _log_loss(features_N2 @ (weights_2 - step_2), targets_N) > loss
            and abs(step_2).max() > 1e-9
        ):
            step_2 = step_2 / 2
        weights_2 = weights_2 - step_2
    slope, intercept = weights_2.tolist()
    return PlattScaling(round(max(slope, 0.01), 4), round(intercept, 4))


def _log_loss(log_odds_N: Floats, targets_N: Floats) -> float:
    return float((np.logaddexp(0, log_odds_N) - targets_N * log_odds_N).sum())
