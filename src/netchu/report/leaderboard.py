"""The leaderboard: one row a system, for the page, as Markdown and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netchu.core import formatting
from netchu.evaluation.metrics.registry import Metric, deciding_metric, table_metrics
from netchu.report.gather import Findings, SystemResult
from netchu.report.page_tables import UNKNOWN_CELL, Cell
from netchu.report.published import find_published

SIZE_REMARK = (
    "MB are the weights in the model directory; a published base of an adapter is not among them."
)

DIFFERENT_LINES = "read other lines than most systems: its figures do not compare with theirs"

PUBLISHED_REMARK = (
    "What was published stands on other lines; report.html says why it does not compare."
)

PUBLISHED = "published CER"
"""Heading of the last column."""


@dataclass(frozen=True)
class LeaderboardRow:
    """One system of the leaderboard: cells in the order of `headings`, and remarks on the row."""

    system: str
    cells: tuple[Cell, ...]
    note: str

    @property
    def starred(self) -> str:
        """The system's name, with a star if there is a note."""
        return f"{self.cells[0].text} *" if self.note else self.cells[0].text

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of the cells, the name with its star."""
        return (self.starred, *(cell.text for cell in self.cells[1:]))


def headings() -> tuple[str, ...]:
    """Return the headings of the leaderboard."""
    return (
        "system",
        deciding_metric().title,
        "95 % interval",
        *(metric.title for metric in _other_metrics()),
        *("MB", "parameters", "ms/line p50", "trained in", PUBLISHED),
    )


def _other_metrics() -> list[Metric]:
    return [metric for metric in table_metrics("leaderboard") if not metric.decides]


def rows(findings: Findings) -> list[LeaderboardRow]:
    """Return measured systems and baselines by CER, then unmeasured baselines and systems."""
    unmeasured = [baseline for baseline in findings.baselines if not baseline.measured]
    return [_row(findings, result) for result in findings.measured + unmeasured] + [
        _not_run(findings, system) for system in findings.not_run
    ]


def _row(findings: Findings, result: SystemResult) -> LeaderboardRow:
    values = _values(findings, result)
    is_baseline = result in findings.baselines
    decides = deciding_metric()
    value = values[decides.name]
    interval = formatting.confidence_interval(result.metrics.get("overall", {}), decides.name)
    cells = (
        Cell(f"{result.system}, baseline" if is_baseline else result.system, result.system),
        Cell(decides.format(value) if result.measured else "not measured", value),
        Cell(interval, values[f"{decides.name}_low"]),
        *(Cell(m.format(values[m.name]), values[m.name]) for m in _other_metrics()),
        Cell(formatting.megabytes(values["size_mb"]), values["size_mb"]),
        Cell(formatting.magnitude(values["parameters"]), values["parameters"]),
        Cell(formatting.milliseconds(values["latency_p50_ms"]), values["latency_p50_ms"]),
        Cell(formatting.duration(values["training_seconds"]), values["training_seconds"]),
        UNKNOWN_CELL if is_baseline else _published_cell(findings, result.system),
    )
    return LeaderboardRow(result.system, cells, values["note"])


def _not_run(findings: Findings, system: str) -> LeaderboardRow:
    unknown = [UNKNOWN_CELL] * (len(headings()) - 3)
    published = _published_cell(findings, system)
    cells = (Cell(system, system), Cell("not run", None), *unknown, published)
    return LeaderboardRow(system, cells, "")


def _published_cell(findings: Findings, system: str) -> Cell:
    published = find_published(findings.params.network(system))
    return Cell.of(published.short if published else formatting.UNKNOWN)


def _values(findings: Findings, result: SystemResult) -> dict[str, Any]:
    """Return the row's numbers, None where one is unknown, and its note."""
    overall = result.metrics.get("overall", {})
    decides = deciding_metric().name
    names = (decides, f"{decides}_low", f"{decides}_high", *(m.name for m in _other_metrics()))
    remarks = [result.metrics.get(key) for key in ("hub_note", "version", "note", "why")]
    if result.system in findings.other_lines():
        remarks.append(DIFFERENT_LINES)
    return {
        "system": result.system,
        **{name: overall.get(name) for name in names},
        **{name: result.metrics[name] for name in ("size_mb", "memory_mb", "parameters")},
        **{name: result.speed.get(name) for name in ("latency_p50_ms", "latency_p95_ms")},
        "training_seconds": sum(result.seconds.values()) if result.seconds else None,
        "note": "; ".join(remark for remark in remarks if remark),
    }


def tested_on(findings: Findings) -> str:
    """Describe the test lines: '420 test lines, 9123 characters: fonts_test (line 300, word 120)'.

    The datasets are those of all systems together, since not every system reads every level.
    """
    if not findings.results:
        return "nothing: no system is evaluated"
    lines: dict[str, dict[str, int]] = {}
    for result in findings.results:
        for dataset, levels in result.metrics["datasets"].items():
            counts = {level: values["lines"] for level, values in levels.items()}
            lines[dataset] = lines.get(dataset, {}) | counts
    parts = [
        f"{dataset} ({', '.join(f'{level} {count}' for level, count in levels.items())})"
        for dataset, levels in lines.items()
        if levels
    ]
    overall = findings.results[0].metrics["overall"]
    split = findings.params.evaluate.split
    total = f"{overall['lines']} {split} lines, {overall['characters']} characters"
    return f"{total}: {', '.join(parts)}"


def markdown(findings: Findings) -> str:
    """Return the leaderboard as a Markdown table with its notes."""
    table = rows(findings)
    lines = [
        f"# Leaderboard, profile `{findings.params.profile}`",
        "",
        f"Tested on {tested_on(findings)}. CER with its 95 % bootstrap interval over writers; "
        f"time on one core. {SIZE_REMARK} {PUBLISHED_REMARK}",
        "",
        "| " + " | ".join(headings()) + " |",
        "|" + "---|" + "---:|" * (len(headings()) - 1),
        *("| " + " | ".join(row.texts) + " |" for row in table),
        "",
        *(f"- \\* `{row.system}`: {row.note}" for row in table if row.note),
    ]
    return "\n".join(lines).rstrip() + "\n"


def as_json(findings: Findings) -> dict[str, Any]:
    """Return the leaderboard with plain numbers (ratios, MB, ms, s) and published results."""
    return {
        "profile": findings.params.profile,
        "tested_on": tested_on(findings),
        "systems": [
            _values(findings, result) | {"published": _published_json(findings, result.system)}
            for result in findings.results
        ],
        "baselines": [_values(findings, baseline) for baseline in findings.baselines],
        "not_run": findings.not_run,
    }


def _published_json(findings: Findings, system: str) -> dict[str, str] | None:
    published = find_published(findings.params.network(system))
    if published is None:
        return None
    return {
        "on": published.data,
        "figure": published.figure,
        "not_comparable": published.not_comparable,
    }
