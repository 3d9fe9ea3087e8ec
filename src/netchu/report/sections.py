"""The tables of the page, one function each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, product
from typing import Any

import numpy as np

from netchu.core import formatting
from netchu.data.line_table import LEVELS
from netchu.evaluation.metrics.bootstrap import paired_difference, resample_weights
from netchu.report.gather import Findings, SystemResult
from netchu.report.published import PUBLISHED
from netchu.report.tables import Cell, Table, words

KEPT = (100, 90, 70, 50)
"""Per cent of the lines, of those in the reject curve, that the table shows."""


def levels(findings: Findings) -> Table:
    """Systems by dataset and level: CER with its interval; the shortest way to see who is where."""
    read_by_any = {
        (dataset, level)
        for result in findings.measured
        for dataset, by_level in result.metrics["datasets"].items()
        for level in by_level
    }
    columns = [pair for pair in product(findings.params.evaluate.datasets, LEVELS)
               if pair in read_by_any]  # fmt: skip
    body = []
    for result in findings.measured:
        read = result.metrics["datasets"]
        cells = [read.get(dataset, {}).get(level) for dataset, level in columns]
        body.append([Cell.of(result.system), *(_rate(rates) for rates in cells)])
    head = ("system", *(f"{dataset}, {level}" for dataset, level in columns))
    return Table("CER by data set and level", head, body)


def _rate(rates: Mapping[str, Any] | None) -> Cell:
    if rates is None:
        return Cell(formatting.UNKNOWN, None)
    return Cell(
        f"{formatting.percent(rates['cer'])} ({formatting.confidence_interval(rates)})",
        rates["cer"],
    )


def differences(findings: Findings) -> Table:
    """Each row of the leaderboard beside the next one, by the paired bootstrap."""
    body = []
    for better, worse in pairwise(findings.measured):
        first, second = (r.metrics["overall"] for r in (better, worse))
        names = [Cell.of(better.system), Cell.of(worse.system)]
        if first["lines_hash"] != second["lines_hash"]:
            body.append([*names, *[Cell("other lines", None)] * 3])
            continue
        edits, before, units = (
            np.array(sums, np.float64)
            for sums in (first["sums"]["edits"], second["sums"]["edits"],
                         first["sums"]["characters"])
        )  # fmt: skip
        weights = resample_weights(len(units), findings.params.evaluate.resamples, findings.params.seed)
        found = paired_difference(before, edits, units, weights)
        span = f"{formatting.percentage_points(found.low)} to {formatting.percentage_points(found.high)}"
        change = Cell(formatting.percentage_points(found.change), found.change)
        probability = Cell(formatting.three_decimals(found.probability), found.probability)
        body.append([*names, change, Cell(span, found.low), probability])
    head = ("system", "beside", "CER, points", "95 % interval", "probability that it is better")
    return Table("Differences between neighbours of the leaderboard", head, body)


def costs(findings: Findings) -> Table:
    """What a system takes: memory, arithmetic, and time by the width of the line."""
    timed = findings.results + [baseline for baseline in findings.baselines if baseline.speed]
    sizes = sorted({(w["height"], w["width"]) for r in timed for w in _widths(r)})
    head = ("system", "MB in memory", "lines/s, all cores", "ms/line p95",
            *(f"ms at {height}×{width}" for height, width in sizes),
            *(f"multiply-adds at {height}×{width}" for height, width in sizes[-1:]))  # fmt: skip
    body = []
    for result in timed:
        by_size = {(w["height"], w["width"]): w for w in _widths(result)}
        memory = result.metrics["memory_mb"]
        rate, slow = (result.speed.get(key)
                      for key in ("throughput_lines_per_s", "latency_p95_ms"))  # fmt: skip
        times = [by_size.get(size, {}).get("latency_p50_ms") for size in sizes]
        adds = [by_size.get(size, {}).get("multiply_adds") for size in sizes[-1:]]
        body.append([
            Cell.of(result.system), Cell(formatting.megabytes(memory), memory),
            Cell(formatting.milliseconds(rate), rate),
            Cell(formatting.milliseconds(slow), slow),
            *(Cell(formatting.milliseconds(time), time) for time in times),
            *(Cell(formatting.magnitude(number), number) for number in adds),
        ])  # fmt: skip
    return Table("Size and speed", head, body)


def _widths(result: SystemResult) -> list[dict[str, Any]]:
    widths: list[dict[str, Any]] = result.speed.get("by_width", [])
    return widths


def confidence(findings: Findings) -> Table:
    """Expected calibration error, and CER where the unsure lines are put aside."""
    head = ("system", "calibration error", *(f"CER, surest {kept} %" for kept in KEPT))
    body = []
    for result in findings.results:
        error = result.metrics["overall"]["ece"]
        curve = {point["kept"]: point["cer"] for point in result.table("reject_curve")}
        known = [curve.get(kept) for kept in KEPT]
        body.append([Cell.of(result.system), Cell(formatting.three_decimals(error), error),
                     *(Cell(formatting.percent(cer), cer) for cer in known)])  # fmt: skip
    return Table("Confidence", head, body)


def variants(findings: Findings) -> Table:
    """For systems that read in several ways: every way on every dataset and level."""
    body = []
    for result in findings.results:
        others = result.metrics["variants"]
        ways = {result.metrics["main"]: result.metrics["datasets"]}
        ways |= {name: summary["datasets"] for name, summary in others.items()}
        for way, datasets in ways.items() if others else ():
            for dataset, by_level in datasets.items():
                for level, rates in by_level.items():
                    names = (result.system, way.replace("_", "-"), dataset, level)
                    figures = [rates[key] for key in ("cer", "wer", "loop_rate")]
                    body.append([*map(Cell.of, names),
                                 *(Cell(formatting.percent(f), f) for f in figures)])  # fmt: skip
    return Table("Ways of reading",
                 ("system", "way", "data set", "level", "CER", "WER", "loops"), body)  # fmt: skip


def published(findings: Findings) -> Table:
    """Network, our CER here, what was published, on what, and why the two do not compare."""
    ours: dict[str, str] = {}
    for result in findings.results:  # the best row of a network comes first
        rates = result.metrics["overall"]
        told = f"{formatting.percent(rates['cer'])} ({formatting.confidence_interval(rates)})"
        ours.setdefault(findings.params.network(result.system), told)
    body = [
        [p.network, ours.get(p.network, formatting.UNKNOWN), p.figure, p.data, p.not_comparable]
        for p in PUBLISHED
    ]
    head = ("network", "CER here", "published", "on", "why not comparable")
    return words("Published figures", head, body)


def training(findings: Findings) -> Table:
    """One row a phase: what was shown, how often, and where validation stood after it."""
    body = []
    for result in findings.results:
        told: set[str] = set()
        for entry in result.metrics["training"]:
            stage, phase = entry["stage"], entry["phase"]
            seconds = None if stage in told else result.seconds.get(stage)
            told.add(stage)
            body.append([
                result.system, stage, formatting.duration(seconds), ", ".join(phase["datasets"]),
                formatting.thousands(entry["lines"]), formatting.thousands(entry["images_seen_at_most"]),
                f"{phase['optimizer']} {phase['learning_rate']:g}, {phase['schedule']}",
                _special(phase), formatting.percent(entry["val_cer"]),
            ])  # fmt: skip
    head = ("system", "stage", "took", "data", "lines", "images seen, at most", "optimiser",
            "besides", "validation CER")  # fmt: skip
    return words("What each system was trained on", head, body)


def _special(phase: Mapping[str, Any]) -> str:
    """What the phase did besides; the card of an older training may lack a parameter."""
    first, last = phase["augmentation_strength"]
    defaults: dict[str, Any] = {
        "freeze": "",
        "folds": 1,
        "height": 0,
        "ema_decay": 0.0,
        "patience": 0,
    }
    known = defaults | dict(phase)
    parts = [f"augmentation {first:g}" + (f" → {last:g}" if last != first else "")]
    parts += [f"frozen: {known['freeze']}"] if known["freeze"] else []
    parts += [f"{known['folds']} folds"] if known["folds"] > 1 else []
    parts += [f"lines of {known['height']} px"] if known["height"] else []
    parts += ["running mean of the weights"] if known["ema_decay"] else []
    parts += [f"stops after {known['patience']} epochs without gain"] if known["patience"] else []
    return "; ".join(parts)
