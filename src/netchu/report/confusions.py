"""Which tone is read as which, and which letters are taken for one another."""

from __future__ import annotations

from dataclasses import dataclass

from netchu.report.gather import Findings, SystemResult

LISTED = 12
"""Look-alikes of each system that the page names."""


@dataclass(frozen=True)
class Share:
    """How often one tone was read as another: a count, and its share of the true tone."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class Confusions:
    """A system's tones (rows: the truth; columns: the reading) and its look-alike letters."""

    system: str
    labels: tuple[str, ...]
    tones: list[list[Share]]  # empty where no vowel of the truth was met
    look_alikes: list[tuple[str, str, int]]


def confusions(findings: Findings) -> list[Confusions]:
    """The confusions of every evaluated system."""
    return [_confusions(result) for result in findings.results]


def _confusions(result: SystemResult) -> Confusions:
    table = result.metrics["tables"]["tones"]
    counts = table["counts"] if any(map(any, table["counts"])) else []
    return Confusions(
        result.system,
        tuple(table["labels"]),
        [
            [Share(count, count / max(1, sum(row)), i == j) for j, count in enumerate(row)]
            for i, row in enumerate(counts)
        ],
        [(p["wanted"], p["got"], p["count"]) for p in result.table("look_alikes")[:LISTED]],
    )
