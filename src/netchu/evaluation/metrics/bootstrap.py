"""How far a figure could lie elsewhere: intervals, and the difference of two systems.

Groups of lines are drawn with replacement, as often as there are groups (the bootstrap). A group is
a writer, whose lines err alike, or a line where nobody knows the hand. Two systems are compared on
the same draws, so that what is hard for both cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

ENDS = (0.025, 0.975)
"""Quantiles at the ends of a 95 % interval."""


@dataclass(frozen=True)
class Difference:
    """Two rates on the same lines.

    change: after − before, with low and high, its 95 % interval. probability: that the second rate
    is the lower one; draws in which they are equal count half.
    """

    before: float
    after: float
    change: float
    low: float
    high: float
    probability: float


def bootstrap_groups(lines: pd.DataFrame) -> list[str]:
    """What the bootstrap draws for each of `lines` (columns id, source, writer).

    Lines of one hand err alike, so writers are drawn where they are known; a line of an unknown
    writer, and every line where there is only one writer, stands for itself.
    """
    single = [f"line {source} {i}" for source, i in zip(lines["source"], lines["id"], strict=True)]
    writers = [
        f"writer {source} {writer}" if writer else alone
        for source, writer, alone in zip(lines["source"], lines["writer"], single, strict=True)
    ]
    return writers if len(set(writers)) > 1 else single


def draw(groups: int, resamples: int, seed: int) -> Floats:
    """How often each resample takes each group (R, G)."""
    rng = np.random.default_rng(seed)
    weights_RG = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return weights_RG.astype(np.float64)


def interval(values_R: Floats) -> tuple[float, float]:
    """The ends of the 95 % interval of a figure's value in each resample."""
    low, high = np.quantile(values_R, ENDS)
    return float(low), float(high)


def paired(before_G: Floats, after_G: Floats, units_G: Floats, weights_RG: Floats) -> Difference:
    """Compare two systems' edits by group, over the same units, on the same draws (`draw`)."""
    changes_R = (weights_RG @ (after_G - before_G)) / (weights_RG @ units_G)
    before, after = before_G.sum() / units_G.sum(), after_G.sum() / units_G.sum()
    low, high = interval(changes_R)
    probability = (changes_R < 0).mean() + (changes_R == 0).mean() / 2
    return Difference(
        float(before), float(after), float(after - before), low, high, float(probability)
    )
