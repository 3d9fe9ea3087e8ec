"""The report's values that CI reproduces, and those that differ from run to run."""

from __future__ import annotations

from typing import Any

from netchu.report.gather import Findings, SystemResult, count_reasons

_KEYS = ("overall", "datasets", "variants", "size_mb", "memory_mb", "parameters", "main", "note",
         "hub_note", "version", "why")  # fmt: skip


def reproducible_metrics(findings: Findings) -> dict[str, Any]:
    """Return what is equal in every run of the same work, without times and machines."""
    return {
        "profile": findings.params.profile,
        "seed": findings.params.seed,
        "systems": {r.system: _metrics(r) for r in findings.results},
        "baselines": {baseline.system: _metrics(baseline) for baseline in findings.baselines},
        "not_run": findings.not_run,
        "skipped": {
            "datasets": {name: count_reasons(lines) for name, lines in findings.skipped.items()},
            "systems": {r.system: count_reasons(r.skipped) for r in findings.results},
        },
    }


def _metrics(result: SystemResult) -> dict[str, Any]:
    return {key: result.metrics[key] for key in _KEYS if key in result.metrics}


def speed_metrics(findings: Findings) -> dict[str, Any]:
    """Return what differs from run to run: latency, machine, training time."""
    return {
        result.system: {"speed": result.speed, "training_seconds": result.seconds}
        for result in findings.results + findings.baselines
    }
