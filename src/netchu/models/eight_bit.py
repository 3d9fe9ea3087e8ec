"""Weights of convolutions and linear layers in 8 bits, as an exported model stores them.

Each output channel has a scale of its own. Seven of the eight bits are used: products of two
numbers of eight bits overflow on processors without VNNI, so readings would depend on the machine.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"
"""Added to the name of a weight; the tensor of that name has its scale for each output channel."""

LARGEST = 64
"""Largest absolute value of a stored weight."""


def quantise(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weight (O, …) as int8 and its scales (O,), float32: weight ≈ int8 × scale."""
    scale_O = weight_OI.float().abs().flatten(1).amax(1).clamp_min(1e-12) / LARGEST
    steps_OI = weight_OI.float() / scale_O.reshape(-1, *[1] * (weight_OI.dim() - 1))
    return steps_OI.round().to(torch.int8), scale_O


def dequantise(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a file with those in 8 bits as float32, and without scales."""
    restored = {}
    for name, weight in weights.items():
        if name.endswith(SCALE):
            continue
        if weight.dtype == torch.int8:
            scale_O = weights[name + SCALE]
            weight = weight.float() * scale_O.reshape(-1, *[1] * (weight.dim() - 1))
        restored[name] = weight
    return restored
