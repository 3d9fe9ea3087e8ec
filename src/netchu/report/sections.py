"""The tables of the page, one function each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, product
from typing import Any

import numpy as np

from netchu.core import formatting
from netchu.data.line_table import LEVELS
from netchu.evaluation.metrics.bootstrap import paired_difference, resample_weights
from netchu.evaluation.metrics.registry import deciding_metric, table_metrics
from netchu.report.gather import Findings, SystemResult
from netchu.report.page_tables import UNKNOWN_CELL, Cell, Table, text_table
from netchu.report.published import PUBLISHED

KEPT_PERCENTAGES = (100, 90, 70, 50)
"""Points of the reject curve that the table shows."""


def levels(findings: Findings) -> Table:
    """Return the deciding metric, CER, of each system by dataset and level, with its interval."""
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
        datasets = result.metrics["datasets"]
        values = [datasets.get(dataset, {}).get(level) for dataset, level in columns]
        body.append([Cell.of(result.system), *map(_cell_with_interval, values)])
    head = ("system", *(f"{dataset}, {level}" for dataset, level in columns))
    return Table(f"{deciding_metric().title} by data set and level", head, body)


def _cell_with_interval(values: Mapping[str, Any] | None) -> Cell:
    if values is None:
        return UNKNOWN_CELL
    return Cell(_with_interval(values), values[deciding_metric().name])


def _with_interval(values: Mapping[str, Any]) -> str:
    metric = deciding_metric()
    interval = formatting.confidence_interval(values, metric.name)
    return f"{metric.format(values[metric.name])} ({interval})"


def differences(findings: Findings) -> Table:
    """Return the paired difference between each row of the leaderboard and the next one."""
    metric = deciding_metric()
    body = []
    for better, worse in pairwise(findings.measured):
        first, second = (r.metrics["overall"] for r in (better, worse))
        names = [Cell.of(better.system), Cell.of(worse.system)]
        if first["lines_hash"] != second["lines_hash"]:
            body.append([*names, *[Cell("other lines", None)] * 3])
            continue
        numerator_1G, numerator_2G, denominator_G = (
            np.array(sums, np.float64)
            for sums in (
                first["sums"][metric.numerator],
                second["sums"][metric.numerator],
                first["sums"][metric.denominator],
            )
        )
        evaluate = findings.params.evaluate
        difference = paired_difference(
            numerator_2G,
            numerator_1G,
            denominator_G,
            resample_weights(len(denominator_G), evaluate.resamples, findings.params.seed),
            lower_is_better=metric.lower_is_better,
        )
        change, low, high, probability = (
            difference.change, difference.low, difference.high, difference.probability
        )  # fmt: skip
        points = formatting.percentage_points
        body.append([
            *names,
            Cell(points(change), change),
            Cell(f"{points(low)} to {points(high)}", low),
            Cell(formatting.three_decimals(probability), probability),
        ])  # fmt: skip
    head = ("system", "beside", f"{metric.title}, points", "95 % interval",
            "probability that it is better")  # fmt: skip
    return Table("Differences between neighbours of the leaderboard", head, body)


def costs(findings: Findings) -> Table:
    """Return memory, speed, and latency and multiply-adds by the size of the latency sample."""
    timed = findings.results + [baseline for baseline in findings.baselines if baseline.speed]
    sizes = sorted({(w["height"], w["width"]) for r in timed for w in _by_width(r)})
    head = ("system", "MB in memory", "lines/s, all cores", "ms/line p95",
            *(f"ms at {height}×{width}" for height, width in sizes),
            *(f"multiply-adds at {height}×{width}" for height, width in sizes[-1:]))  # fmt: skip
    body = []
    for result in timed:
        by_size = {(w["height"], w["width"]): w for w in _by_width(result)}
        memory = result.metrics["memory_mb"]
        throughput = result.speed.get("throughput_lines_per_s")
        p95 = result.speed.get("latency_p95_ms")
        times = [by_size.get(size, {}).get("latency_p50_ms") for size in sizes]
        adds = [by_size.get(size, {}).get("multiply_adds") for size in sizes[-1:]]
        body.append([
            Cell.of(result.system), Cell(formatting.megabytes(memory), memory),
            Cell(formatting.milliseconds(throughput), throughput),
            Cell(formatting.milliseconds(p95), p95),
            *(Cell(formatting.milliseconds(time), time) for time in times),
            *(Cell(formatting.magnitude(number), number) for number in adds),
        ])  # fmt: skip
    return Table("Size and speed", head, body)


def _by_width(result: SystemResult) -> list[dict[str, Any]]:
    by_width: list[dict[str, Any]] = result.speed.get("by_width", [])
    return by_width


def confidence(findings: Findings) -> Table:
    """Return the calibration error, and CER when the least confident lines are left out."""
    head = ("system", "calibration error",
            *(f"CER, surest {kept} %" for kept in KEPT_PERCENTAGES))  # fmt: skip
    body = []
    for result in findings.results:
        error = result.metrics["overall"]["ece"]
        curve = {point["kept"]: point["cer"] for point in result.table("reject_curve")}
        rates = [curve.get(kept) for kept in KEPT_PERCENTAGES]
        body.append([Cell.of(result.system), Cell(formatting.three_decimals(error), error),
                     *(Cell(formatting.percent(cer), cer) for cer in rates)])  # fmt: skip
    return Table("Confidence", head, body)


def variants(findings: Findings) -> Table:
    """Return every variant of the systems that have several, by dataset and level."""
    metrics = table_metrics("variants")
    body = []
    for result in findings.results:
        others = result.metrics["variants"]
        by_variant = {result.metrics["main"]: result.metrics["datasets"]}
        by_variant |= {name: summary["datasets"] for name, summary in others.items()}
        for variant, datasets in by_variant.items() if others else ():
            for dataset, by_level in datasets.items():
                for level, values in by_level.items():
                    names = (result.system, variant.replace("_", "-"), dataset, level)
                    body.append([
                        *map(Cell.of, names),
                        *(Cell(m.format(values.get(m.name)), values.get(m.name)) for m in metrics),
                    ])  # fmt: skip
    head = ("system", "way", "data set", "level", *(metric.title for metric in metrics))
    return Table("Ways of reading", head, body)


def published(findings: Findings) -> Table:
    """Return network, CER here, published result and data, and why the two are not comparable."""
    measured: dict[str, str] = {}
    for result in findings.results:  # the best system of a network comes first
        network = findings.params.network(result.system)
        measured.setdefault(network, _with_interval(result.metrics["overall"]))
    body = [
        [p.network, measured.get(p.network, formatting.UNKNOWN), p.figure, p.data, p.not_comparable]
        for p in PUBLISHED
    ]
    head = ("network", f"{deciding_metric().title} here", "published", "on", "why not comparable")
    return text_table("Published figures", head, body)


def training(findings: Findings) -> Table:
    """Return one row a phase: data, number of images, optimiser, and validation CER after it."""
    body = []
    for result in findings.results:
        seen: set[str] = set()
        for entry in result.metrics["training"]:
            stage, phase = entry["stage"], entry["phase"]
            # The seconds are of the stage; they stand in the row of its first phase.
            seconds = None if stage in seen else result.seconds.get(stage)
            seen.add(stage)
            body.append([
                result.system, stage, formatting.duration(seconds), ", ".join(phase["datasets"]),
                formatting.thousands(entry["lines"]),
                formatting.thousands(entry["images_seen_at_most"]),
                f"{phase['optimizer']} {phase['learning_rate']:g}, {phase['schedule']}",
                _special(phase), formatting.percent(entry["val_cer"]),
            ])  # fmt: skip
    head = ("system", "stage", "took", "data", "lines", "images seen, at most", "optimiser",
            "besides", "validation CER")  # fmt: skip
    return text_table("What each system was trained on", head, body)


def _special(phase: Mapping[str, Any]) -> str:
    """Describe the other parameters of a phase; the card of an old model may lack some."""
    defaults: dict[str, Any] = {
        "augmentation_strength": (),
        "freeze": "",
        "folds": 1,
        "height": 0,
        "ema_decay": 0.0,
        "patience": 0,
    }
    known = defaults | dict(phase)
    strengths = [f"{strength:g}" for strength in dict.fromkeys(known["augmentation_strength"])]
    parts = [f"augmentation {' → '.join(strengths)}"] if strengths else []
    parts += [f"frozen: {known['freeze']}"] if known["freeze"] else []
    parts += [f"{known['folds']} folds"] if known["folds"] > 1 else []
    parts += [f"lines of {known['height']} px"] if known["height"] else []
    parts += ["running mean of the weights"] if known["ema_decay"] else []
    parts += [f"stops after {known['patience']} epochs without gain"] if known["patience"] else []
    return "; ".join(parts)
