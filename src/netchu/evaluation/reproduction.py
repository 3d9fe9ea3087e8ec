"""Check that a rebuilt report reproduces the metrics of a committed one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics import registry
from netchu.evaluation.metrics.registry import COUNTS
from netchu.evaluation.metrics_io import read_metrics

EXACT = ("size_mb", "memory_mb", "parameters", *COUNTS, "lines_hash", "main")
"""Keys of `metrics.json` whose values must be equal; compared metrics have a tolerance."""

OTHER_RATES = 3
"""The tolerance of the other compared metrics in that of the deciding one, CER.

One character makes a word or a line wrong. The same code on another processor has differed by 0.7
points of CER, 2.0 of WER and 2.9 of SER.
"""


@dataclass(frozen=True)
class ReproducedValue:
    """One value of the committed report and of the rebuilt one (None where it is missing).

    Attributes:
        place: path of keys in `metrics.json`, e.g. systems/crnn_vgg/overall/cer.
        committed, rebuilt: the values.
        holds: whether the value is reproduced.
    """

    place: str
    committed: Any
    rebuilt: Any
    holds: bool


def check_reproduction(committed: Path, rebuilt: Path, tolerance: float) -> list[ReproducedValue]:
    """Compare the values of two `metrics.json` files (or folders that hold one), in order.

    Args:
        committed: the report whose values are to be reproduced.
        rebuilt: the same report built again; it may hold more.
        tolerance: largest absolute difference of CER; metrics are ratios, so 0.02 is two percentage
            points. Other compared metrics may differ OTHER_RATES times as much.

    Raises:
        NetchuError: a file is missing or is not JSON, or the committed one holds no value.
    """
    old, new = (dict(_values(read_metrics(path))) for path in (committed, rebuilt))
    if not old:
        raise NetchuError(f"{committed} holds no value to reproduce; commit a report that does")
    return [
        ReproducedValue(
            place, value, new.get(place), _holds(place, value, new.get(place), tolerance)
        )
        for place, value in old.items()
    ]


def _holds(place: str, committed: Any, rebuilt: Any, tolerance: float) -> bool:
    if rebuilt is None:
        return False
    key = place.rpartition("/")[2]
    if key in EXACT:
        return bool(committed == rebuilt)
    if key != registry.deciding_metric().name:
        tolerance *= OTHER_RATES
    return abs(float(committed) - float(rebuilt)) <= tolerance + 1e-9


def _values(content: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values that are compared, with their paths of keys."""
    compared = {metric.name for metric in registry.compared_metrics()} | set(EXACT)
    for key, value in content.items():
        path = f"{place}/{key}" if place else key
        if isinstance(value, dict) and key != "sums":
            yield from _values(value, path)
        elif key in compared:
            yield path, value
