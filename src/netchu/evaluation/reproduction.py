"""Whether a rebuilt report holds the figures of a committed one.

`python -m netchu.evaluation.reproduction COMMITTED REBUILT --tolerance 0.02` prints a table; exit
code 1 where a figure is not reproduced.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from netchu.core.errors import NetchuError, one_line_errors
from netchu.evaluation.metrics_io import read_figures

RATES = ("cer", "wer", "ser")
"""Compared within the tolerance, at every place where they stand."""

EXACT = (
    "size_mb", "memory_mb", "parameters", "lines", "characters", "words", "lines_hash", "main"
)  # fmt: skip
"""Compared for equality."""


@dataclass(frozen=True)
class Comparison:
    """One figure of the committed report and what became of it (None: it is gone)."""

    place: str
    committed: Any
    rebuilt: Any
    holds: bool


def compare(committed: Path, rebuilt: Path, tolerance: float) -> list[Comparison]:
    """Every compared figure of two `metrics.json` files (or folders that hold one), in order.

    `tolerance` is the greatest absolute difference of a rate; rates are ratios, so 0.02 is two
    percentage points.

    Raises:
        NetchuError: a file is missing, is no JSON, or the committed one holds no figure.
    """
    old, new = (dict(_figures(read_figures(path))) for path in (committed, rebuilt))
    if not old:
        raise NetchuError(f"{committed} holds no figure to reproduce; commit a report that does")
    return [
        Comparison(place, value, new.get(place), _holds(place, value, new.get(place), tolerance))
        for place, value in old.items()
    ]


def verify(committed: Path, rebuilt: Path, tolerance: float) -> list[str]:
    """One line for each figure of `committed` that `rebuilt` does not reproduce; empty is good."""
    return [
        f"{c.place}: {c.committed} was reported, "
        + ("nothing was rebuilt" if c.rebuilt is None else f"{c.rebuilt} was rebuilt")
        for c in compare(committed, rebuilt, tolerance)
        if not c.holds
    ]


def _holds(place: str, committed: Any, rebuilt: Any, tolerance: float) -> bool:
    if rebuilt is None:
        return False
    if place.rpartition("/")[2] in EXACT:
        return bool(committed == rebuilt)
    return abs(float(committed) - float(rebuilt)) <= tolerance + 1e-9


def _figures(content: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Compared figures by their place, e.g. systems/crnn_vgg/overall/cer."""
    for key, value in content.items():
        here = f"{place}/{key}" if place else key
        if isinstance(value, dict) and key != "sums":
            yield from _figures(value, here)
        elif key in RATES or key in EXACT:
            yield here, value


def main() -> None:
    """Compare two reports on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("committed", type=Path, help="a report's folder or its metrics.json")
    parser.add_argument("rebuilt", type=Path, help="the same, made anew")
    parser.add_argument("--tolerance", type=float, default=0.02, help="of a rate; 0.02 is 2 points")
    arguments = parser.parse_args()
    with one_line_errors():
        compared = compare(arguments.committed, arguments.rebuilt, arguments.tolerance)
    table = Table(title=f"reported and rebuilt (tolerance {arguments.tolerance})")
    for column in ("figure", "reported", "rebuilt", ""):
        table.add_column(column)
    for c in compared:
        verdict = "" if c.committed == c.rebuilt else "within" if c.holds else "FAILS"
        table.add_row(c.place, str(c.committed), str(c.rebuilt), verdict)
    Console().print(table)
    failures = [c for c in compared if not c.holds]
    print(f"{len(compared) - len(failures)} of {len(compared)} figures reproduced")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
