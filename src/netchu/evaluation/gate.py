"""Whether a change makes a report worse than the one before it.

Readings are compared by the paired test of `comparison`, on equal test lines. Sizes and the
multiply-adds of reading a line are exact, so they can be compared between machines. Latencies
cannot: a report holds times of one build, and a busy machine has slowed one system down eight
times as much as the others. Therefore times are compared as a ratio to that of a reference workload
in the same process (`latency.measure_relative_time`). The CER of a system whose checkpoint is
random in both reports says nothing, and is not compared; nor are size and time of one that was
random before and has been taught since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from netchu.core.errors import NetchuError
from netchu.core.formatting import percent
from netchu.evaluation.comparison import (
    EvaluatedSystem,
    compare_systems,
    load_systems,
    pair_systems,
    regressions,
)
from netchu.evaluation.metrics_io import read_metrics

GROWTH = {"MB": 1.1, "multiply-adds": 1.1, "times the reference workload": 2.0}
"""The largest permitted ratio of sizes, of multiply-adds, and of relative times.

A relative time is measured, perhaps on another processor; one that the report before lacks is not
compared.
"""


def find_regressions(before: Path, after: Path, new_lines: Path, margin: float = 0.0) -> list[str]:
    """Return what is worse in the report `after`, one line for each fault.

    Args:
        before: folder of a report, with metrics.json and speed.json.
        after: folder of the report that takes its place; it may hold more systems.
        new_lines: a YAML file of reasons by `lines_hash`, see `read_reasons`. A dataset whose
            lines differ is compared no more if the hash of its new lines is in there.
        margin: largest rise of CER that passes; 0.02 is two points. The test covers chance in the
            choice of lines, and not that a training on another processor gives other weights.

    Raises:
        NetchuError: a report cannot be read, lacks sums by writer, or lacks a system, dataset or
            level of the report before.
    """
    reasons = read_reasons(new_lines)
    pairs = pair_systems(str(before), str(after))
    faults = []
    for old, new in pairs:
        same = [
            name for name, part in old.slices.items()
            if part.lines_hash == new.slices[name].lines_hash
        ]  # fmt: skip
        faults += [
            f"{new.name}: {name} has other test lines than before; give the reason in {new_lines} "
            f"as '{part.lines_hash}: REASON'"
            for name, part in new.slices.items()
            if name in old.slices and name not in same and part.lines_hash not in reasons
        ]
        if old.untaught and new.untaught:
            continue
        rows = compare_systems(_only(old, same), _only(new, same), len(pairs)) if same else []
        faults += [
            f"{new.name}: {row.place} reads worse, CER {percent(row.before)} → {percent(row.after)}"
            for row in regressions(rows)
            if row.after - row.before > margin
        ]
    were_random, are_random = (
        {name for name, system in load_systems(str(folder)).items() if system.untaught}
        for folder in (before, after)
    )
    return faults + _growth(before, after, were_random - are_random)


def read_reasons(path: Path) -> dict[str, str]:
    """Return the reason for each hash of test lines.

    Raises:
        NetchuError: the file is missing, or is not a mapping of hashes to reasons.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NetchuError(f"{path} cannot be read ({error}); name a YAML file") from None
    if not isinstance(content, dict) or not all(
        isinstance(reason, str) and reason.strip() for reason in content.values()
    ):
        raise NetchuError(f"{path}: give each hash of test lines its reason, as 'HASH: REASON'")
    return {str(hashed): reason for hashed, reason in content.items()}


def _only(system: EvaluatedSystem, names: list[str]) -> EvaluatedSystem:
    return EvaluatedSystem(system.name, {name: system.slices[name] for name in names})


def _growth(before: Path, after: Path, taught: set[str]) -> list[str]:
    """Return the systems that grew, need more arithmetic, or are slower, but for those taught."""
    old, new = (_costs(folder) for folder in (before, after))
    faults = []
    for unit, values in old.items():
        for system, value in values.items():
            if system in taught:
                continue
            if system not in new[unit]:
                faults.append(f"{system}: {after} lacks its {unit}; build the report again")
            elif new[unit][system] > GROWTH[unit] * value:
                faults.append(
                    f"{system}: {value:.4g} → {new[unit][system]:.4g} {unit}, "
                    f"more than {GROWTH[unit]} times as much"
                )
    return faults


def _costs(folder: Path) -> dict[str, dict[str, float]]:
    """Return the costs of each system of a report, by unit."""
    speed = read_metrics(folder / "speed.json")
    costs = (
        _by_system(read_metrics(folder)["systems"], _size),
        _by_system(speed, _multiply_adds),
        _by_system(speed, _relative_time),
    )
    return dict(zip(GROWTH, costs, strict=True))


def _by_system(content: Mapping[str, Any], value: Callable[[Any], Any]) -> dict[str, float]:
    """Return a value of each system that has it."""
    values = {}
    for system, entry in content.items():
        try:
            values[system] = float(value(entry))
        except (KeyError, TypeError):
            continue
    return values


def _size(entry: Mapping[str, Any]) -> Any:
    return entry["size_mb"]


def _multiply_adds(entry: Mapping[str, Any]) -> Any:
    return sum(sample["multiply_adds"] for sample in entry["speed"]["by_width"])


def _relative_time(entry: Mapping[str, Any]) -> Any:
    return entry["speed"]["relative_time"]
