"""The leaderboard: as rows for every page, as Markdown, and as the figures CI reproduces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netchu.report.format import (
    UNKNOWN,
    duration,
    interval,
    megabytes,
    millions,
    milliseconds,
    percent,
)
from netchu.report.gather import Findings, SystemResult, count_reasons

HEADINGS = ("system", "CER", "95 % interval", "WER", "SER", "CER, tones folded", "MB", "parameters",
            "ms/line p50", "p95", "trained in")  # fmt: skip

SIZE = "MB are the weights in the model directory; the base of an adapter is not among them."

_OVERALL = ("overall", "datasets", "variants", "size_mb", "parameters", "main", "note", "hub_note")


@dataclass(frozen=True)
class Row:
    """One system of the leaderboard: cells in the order of HEADINGS, and what must be said."""

    system: str
    cells: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def starred(self) -> str:
        """The system's name, with a star where a note belongs to it."""
        return f"{self.system} *" if self.notes else self.system


def rows(findings: Findings) -> list[Row]:
    """Evaluated systems by CER, then those that were not run."""
    empty = ("not run", *[UNKNOWN] * (len(HEADINGS) - 2))
    return [_row(result) for result in findings.results] + [
        Row(system, (system, *empty), ()) for system in findings.not_run
    ]


def _row(result: SystemResult) -> Row:
    rates = result.metrics["overall"]
    cells = (
        result.system,
        percent(rates["cer"]),
        interval(rates),
        percent(rates["wer"]),
        percent(rates["ser"]),
        percent(rates["cer_folded"]),
        megabytes(result.metrics["size_mb"]),
        millions(result.metrics["parameters"]),
        milliseconds(result.speed.get("latency_p50_ms")),
        milliseconds(result.speed.get("latency_p95_ms")),
        duration(sum(result.seconds.values()) if result.seconds else None),
    )
    notes = tuple(note for key in ("hub_note", "note") if (note := result.metrics.get(key)))
    return Row(result.system, cells, notes)


def tested_on(findings: Findings) -> str:
    """'420 test lines, 9123 characters: fonts_test (line 300, word 120)'."""
    if not findings.results:
        return "nothing: no system is evaluated"
    lines: dict[str, dict[str, int]] = {}  # of all systems: not each reads every level
    for result in findings.results:
        for dataset, levels in result.metrics["datasets"].items():
            read = {level: rates["lines"] for level, rates in levels.items()}
            lines[dataset] = lines.get(dataset, {}) | read
    parts = [
        f"{dataset} ({', '.join(f'{level} {count}' for level, count in levels.items())})"
        for dataset, levels in lines.items()
        if levels
    ]
    overall = findings.results[0].metrics["overall"]
    split = findings.params.evaluate.split
    whole = f"{overall['lines']} {split} lines, {overall['characters']} characters"
    return f"{whole}: {', '.join(parts)}"


def markdown(findings: Findings) -> str:
    """The leaderboard as a Markdown table with its notes."""
    table = rows(findings)
    lines = [
        f"# Leaderboard, profile `{findings.params.profile}`",
        "",
        f"Tested on {tested_on(findings)}. CER with its 95 % bootstrap interval over writers; "
        f"time on one core. {SIZE}",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" + "---:|" * (len(HEADINGS) - 1),
        *("| " + " | ".join((row.starred, *row.cells[1:])) + " |" for row in table),
        "",
        *(f"- \\* `{row.system}`: {note}" for row in table for note in row.notes),
    ]
    return "\n".join(lines).rstrip() + "\n"


def figures(findings: Findings) -> dict[str, Any]:
    """What two runs of the same work agree on, for CI: no time and no machine in it."""
    return {
        "profile": findings.params.profile,
        "seed": findings.params.seed,
        "systems": {
            result.system: {key: result.metrics[key] for key in _OVERALL if key in result.metrics}
            for result in findings.results
        },
        "not_run": findings.not_run,
        "skipped": {
            "datasets": {name: count_reasons(lines) for name, lines in findings.skipped.items()},
            "systems": {r.system: count_reasons(r.skipped) for r in findings.results},
        },
    }


def speeds(findings: Findings) -> dict[str, Any]:
    """What differs from run to run: latency, machine, training time."""
    return {
        result.system: {"speed": result.speed, "training_seconds": result.seconds}
        for result in findings.results
    }
