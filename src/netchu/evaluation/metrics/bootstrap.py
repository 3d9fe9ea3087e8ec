"""Bootstrap over writers: confidence intervals, and the paired difference of two systems.

Groups of lines are resampled with replacement (cluster bootstrap). A group is a writer, whose
errors are correlated, or a single line where writers are unknown. Two systems are compared on the
same resamples, so that the difficulty of the lines cancels out.
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
    """The difference of a rate between two systems on the same lines.

    Attributes:
        before, after: the rate of the first and of the second system.
        change: after − before.
        low, high: 95 % interval of the change.
        probability: that the second system is better; resamples with equal rates count half.
    """

    before: float
    after: float
    change: float
    low: float
    high: float
    probability: float


def bootstrap_groups(lines: pd.DataFrame) -> list[str]:
    """Return the group of each of `lines` (columns id, source, writer) that is resampled as a unit.

    A line of an unknown writer is its own group, and so is every line if there is only one group
    otherwise.
    """
    single = [f"line {source} {i}" for source, i in zip(lines["source"], lines["id"], strict=True)]
    writers = [
        f"writer {source} {writer}" if writer else line
        for source, writer, line in zip(lines["source"], lines["writer"], single, strict=True)
    ]
    return writers if len(set(writers)) > 1 else single


def resample_weights(groups: int, resamples: int, seed: int) -> Floats:
    """Return how often each resample contains each group, shape (R, G)."""
    rng = np.random.default_rng(seed)
    weights_RG = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return weights_RG.astype(np.float64)


def quantile_interval(values_R: Floats) -> tuple[float, float]:
    """Return the 95 % interval of a statistic from its values in R resamples."""
    low, high = np.quantile(values_R, ENDS)
    return float(low), float(high)


def paired_difference(
    before_G: Floats,
    after_G: Floats,
    units_G: Floats,
    weights_RG: Floats,
    *,
    lower_is_better: bool = True,
) -> Difference:
    """Compare a rate of two systems on the same lines and the same resamples.

    Args:
        before_G: numerator of the first system by group, for example character edits.
        after_G: numerator of the second system.
        units_G: denominator, the same for both, for example characters.
        weights_RG: output of `resample_weights`.
        lower_is_better: False where the rate is a score.
    """
    changes_R = (weights_RG @ (after_G - before_G)) / (weights_RG @ units_G)
    before, after = before_G.sum() / units_G.sum(), after_G.sum() / units_G.sum()
    low, high = quantile_interval(changes_R)
    better_R = changes_R < 0 if lower_is_better else changes_R > 0
    probability = better_R.mean() + (changes_R == 0).mean() / 2
    return Difference(
        float(before), float(after), float(after - before), low, high, float(probability)
    )
