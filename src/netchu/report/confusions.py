"""Confusion matrix of tones and most frequent confusion pairs of letters, by system."""

from __future__ import annotations

from dataclasses import dataclass

from netchu.report.gather import Findings, SystemResult

MAX_PAIRS = 12
"""Confusion pairs of each system on the page."""


@dataclass(frozen=True)
class ToneCell:
    """How often one tone was read as another: a count, and its share of the true tone."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class Confusions:
    """A system's confusion matrix of tones (rows truth, columns reading) and confusion pairs.

    `tones` is empty if the truths have no vowel.
    """

    system: str
    labels: tuple[str, ...]
    tones: list[list[ToneCell]]
    pairs: list[tuple[str, str, int]]


def confusions(findings: Findings) -> list[Confusions]:
    """Return the confusions of every evaluated system."""
    return [_confusions(result) for result in findings.results]


def _confusions(result: SystemResult) -> Confusions:
    table = result.metrics["tables"]["tones"]
    counts = table["counts"] if any(map(any, table["counts"])) else []
    return Confusions(
        result.system,
        tuple(table["labels"]),
        [
            [ToneCell(count, count / max(1, sum(row)), i == j) for j, count in enumerate(row)]
            for i, row in enumerate(counts)
        ],
        [(p["wanted"], p["got"], p["count"]) for p in result.table("look_alikes")[:MAX_PAIRS]],
    )
