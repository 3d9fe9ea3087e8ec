"""The leaderboard: one row a system, for the page, as Markdown and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netchu.core import formatting
from netchu.report.gather import Findings, SystemResult
from netchu.report.published import of_network
from netchu.report.tables import Cell

HEADINGS = ("system", "CER", "95 % interval", "WER", "SER", "CER, tones folded", "Kalapa score",
            "MB", "parameters", "ms/line p50", "trained in", "published CER")  # fmt: skip

SIZE = "MB are the weights in the model directory; the base of an adapter is not among them."

ELSEWHERE = "read other lines than most systems: its figures do not compare with theirs"

PUBLISHED = "What was published stands on other lines; report.html says why it does not compare."


@dataclass(frozen=True)
class Row:
    """One system of the leaderboard: cells in the order of HEADINGS, and what must be said."""

    system: str
    cells: tuple[Cell, ...]
    note: str

    @property
    def starred(self) -> str:
        """The system's name, with a star where a note belongs to it."""
        return f"{self.cells[0].text} *" if self.note else self.cells[0].text

    @property
    def texts(self) -> tuple[str, ...]:
        """What the cells say, the name starred."""
        return (self.starred, *(cell.text for cell in self.cells[1:]))


def rows(findings: Findings) -> list[Row]:
    """What read the lines, by CER; then baselines without rates, and systems that were not run."""
    unmeasured = [baseline for baseline in findings.baselines if not baseline.measured]
    return [_row(findings, result) for result in findings.measured + unmeasured] + [
        _empty(findings, system) for system in findings.not_run
    ]


def _row(findings: Findings, result: SystemResult) -> Row:
    known = _figures(findings, result)
    baseline = result in findings.baselines
    cells = (
        Cell(f"{result.system}, baseline" if baseline else result.system, result.system),
        Cell(formatting.percent(known["cer"]) if result.measured else "not measured", known["cer"]),
        Cell(formatting.confidence_interval(result.metrics.get("overall", {})), known["cer_low"]),
        *(Cell(formatting.percent(known[key]), known[key]) for key in ("wer", "ser", "cer_folded")),
        Cell(formatting.three_decimals(known["kalapa_score"]), known["kalapa_score"]),
        Cell(formatting.megabytes(known["size_mb"]), known["size_mb"]),
        Cell(formatting.magnitude(known["parameters"]), known["parameters"]),
        Cell(formatting.milliseconds(known["latency_p50_ms"]), known["latency_p50_ms"]),
        Cell(formatting.duration(known["training_seconds"]), known["training_seconds"]),
        Cell(formatting.UNKNOWN, None) if baseline else _published(findings, result.system),
    )
    return Row(result.system, cells, known["note"])


def _empty(findings: Findings, system: str) -> Row:
    unknown = [Cell(formatting.UNKNOWN, None)] * (len(HEADINGS) - 3)
    cells = (Cell(system, system), Cell("not run", None), *unknown, _published(findings, system))
    return Row(system, cells, "")


def _published(findings: Findings, system: str) -> Cell:
    known = of_network(findings.params.network(system))
    return Cell.of(known.short if known else formatting.UNKNOWN)


def _figures(findings: Findings, result: SystemResult) -> dict[str, Any]:
    """The row's numbers as they are, and its note; None where one is not known."""
    rates = result.metrics.get("overall", {})
    names = ("cer", "cer_low", "cer_high", "wer", "ser", "cer_folded", "kalapa_score")
    sources = ("hub_note", "version", "note", "why")
    notes = [note for key in sources if (note := result.metrics.get(key))]
    if result.system in findings.other_lines():
        notes.append(ELSEWHERE)
    return {
        "system": result.system,
        **{name: rates.get(name) for name in names},
        **{name: result.metrics[name] for name in ("size_mb", "memory_mb", "parameters")},
        **{name: result.speed.get(name) for name in ("latency_p50_ms", "latency_p95_ms")},
        "training_seconds": sum(result.seconds.values()) if result.seconds else None,
        "note": "; ".join(notes),
    }


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
        f"time on one core. {SIZE} {PUBLISHED}",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" + "---:|" * (len(HEADINGS) - 1),
        *("| " + " | ".join(row.texts) + " |" for row in table),
        "",
        *(f"- \\* `{row.system}`: {row.note}" for row in table if row.note),
    ]
    return "\n".join(lines).rstrip() + "\n"


def as_json(findings: Findings) -> dict[str, Any]:
    """The same table with plain numbers (ratios, MB, ms, s), and what was published."""
    return {
        "profile": findings.params.profile,
        "tested_on": tested_on(findings),
        "systems": [
            _figures(findings, result) | {"published": _details(findings, result.system)}
            for result in findings.results
        ],
        "baselines": [_figures(findings, baseline) for baseline in findings.baselines],
        "not_run": findings.not_run,
    }


def _details(findings: Findings, system: str) -> dict[str, str] | None:
    known = of_network(findings.params.network(system))
    if known is None:
        return None
    return {"on": known.data, "figure": known.figure, "not_comparable": known.not_comparable}
