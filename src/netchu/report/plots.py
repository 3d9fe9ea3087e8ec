"""Data of the charts as CSV, which `dvc plots` draws and compares between revisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from netchu.core.files import new_file
from netchu.report.bars import error_parts
from netchu.report.confusions import confusions
from netchu.report.curves import learning_curve, length_name
from netchu.report.gather import Findings

DIGITS = 3


def write_plots(findings: Findings, folder: Path) -> None:
    """Write one CSV a plot into `folder`; rates are in percent, rows sorted by system."""
    for name, (columns, rows) in _tables(findings).items():
        frame = pd.DataFrame(rows, columns=["system", *columns]).round(DIGITS)
        with new_file(folder / f"{name}.csv") as partial:
            frame.to_csv(partial, index=False, lineterminator="\n")


def _tables(findings: Findings) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    results = findings.results
    return {
        "learning": (
            ["share", "cer"],
            [(r.system, x, 100 * y) for r in results
             for x, y in zip(*learning_curve(r, "val_cer"), strict=True)],
        ),
        "costs": (
            ["cer", "size_mb", "latency_p50_ms"],
            [(r.system, 100 * r.cer, r.metrics["size_mb"], r.speed.get("latency_p50_ms"))
             for r in results],
        ),
        "errors": (
            ["kind", "per_100_characters"],
            [(r.system, part.label, 100 * r.metrics["overall"][part.key]) for r in results
             for part in error_parts("class")],
        ),
        "tones": (
            ["truth", "reading", "count", "percent"],
            [(c.system, c.labels[i], c.labels[j], cell.count, 100 * cell.share)
             for c in confusions(findings)
             for i, row in enumerate(c.tones) for j, cell in enumerate(row)],
        ),
        "lengths": (
            ["characters", "cer"],
            [(r.system, length_name(b["from"], b["to"]), 100 * b["cer"]) for r in results
             for b in r.table("by_length")],
        ),
        "reject": (
            ["kept", "cer"],
            [(r.system, p["kept"], 100 * p["cer"]) for r in results
             for p in r.table("reject_curve")],
        ),
        "reliability": (
            ["confidence", "right"],
            [(r.system, 100 * g["confidence"], 100 * g["right"]) for r in results
             for g in r.table("reliability")],
        ),
    }  # fmt: skip
