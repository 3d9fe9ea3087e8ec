"""From logits to probabilities, as sure as a temperature makes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(logits_V: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float32]:
    """Probabilities along the last axis (…, V); logarithms of probabilities will do as logits.

    A temperature above 1 brings them nearer to one another, one below 1 further apart.
    """
    powers_V = (logits_V - logits_V.max(-1, keepdims=True)) / np.float32(temperature)
    powers_V = np.exp(powers_V, dtype=np.float32)
    return np.asarray(powers_V / powers_V.sum(-1, keepdims=True), np.float32)
