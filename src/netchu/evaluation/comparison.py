"""Which of two systems reads better: a paired bootstrap test on the sums by writer in metrics.json.

Both systems have read the same lines and are compared on the same resamples of writers
(`bootstrap.paired_difference`). On a slice (all lines, or one level of a dataset) a system is
better or worse if the probability of the opposite is below SIGNIFICANCE, divided by the number of
slices that are tested together (Bonferroni correction). Only the deciding metric, CER, fails a
comparison; the others are reported beside it. The test covers chance in the choice of writers and
lines, not that of the training seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics import registry
from netchu.evaluation.metrics.bootstrap import (
    Difference,
    Floats,
    paired_difference,
    resample_weights,
)
from netchu.evaluation.metrics.registry import Metric
from netchu.evaluation.metrics_io import read_metrics

OVERALL = "overall"

SIGNIFICANCE = 0.025
"""One-sided significance level of all tests of one comparison together."""

RESAMPLES = 10_000
SEED = 1

Verdict = Literal["better", "worse", "no difference", "too few lines"]


@dataclass(frozen=True)
class Slice:
    """What a system read on a slice of the test lines.

    Attributes:
        lines_hash: identifies the lines.
        sums: edits and reference units by group of lines, in the same order for every system.
    """

    lines_hash: str
    sums: Mapping[str, Floats]


@dataclass(frozen=True)
class EvaluatedSystem:
    """An evaluated system.

    Attributes:
        name: for messages, with the report's folder.
        slices: by name: overall, kalapa/line, …
        untaught: whether its checkpoint is random. It then reads the same few characters in every
            line, and which ones depends on chance.
    """

    name: str
    slices: Mapping[str, Slice]
    untaught: bool = False


@dataclass(frozen=True)
class ComparisonRow(Difference):
    """The difference of two systems in one metric on one slice.

    Attributes:
        place: name of the slice.
        rate: name of the metric.
        verdict: on the second system.
    """

    place: str
    rate: str
    verdict: Verdict


def compare_systems(
    before: EvaluatedSystem, after: EvaluatedSystem, pairs: int = 1
) -> list[ComparisonRow]:
    """Compare two systems in each compared metric on each slice that both have read.

    A metric whose sums one of the evaluations lacks, because it is older than the metric, is left
    out.

    Args:
        before: first system.
        after: second system, on which the verdicts are.
        pairs: number of pairs of systems that are compared together.

    Raises:
        NetchuError: they share no slice, or have read different lines of one.
    """
    shared = [name for name in before.slices if name in after.slices]
    if not shared:
        raise NetchuError(
            f"{before.name} and {after.name} have read no dataset in common; name two evaluations "
            "of one profile"
        )
    rows = []
    for name in shared:
        first, second = before.slices[name], after.slices[name]
        if first.lines_hash != second.lines_hash:
            raise NetchuError(
                f"{before.name} and {after.name} have read different lines of {name} "
                f"({_count_lines(first)} and {_count_lines(second)}); evaluate both on the same "
                "lines"
            )
        rows += _compare_slices(name, first, second, SIGNIFICANCE / (len(shared) * pairs))
    return rows


def _compare_slices(
    name: str, before: Slice, after: Slice, significance: float
) -> list[ComparisonRow]:
    weights_RG = resample_weights(len(before.sums["lines"]), RESAMPLES, SEED)
    rows = []
    for metric in registry.compared_metrics():
        if not (_has_sums(before, metric) and _has_sums(after, metric)):
            continue
        difference = paired_difference(
            before.sums[metric.numerator],
            after.sums[metric.numerator],
            before.sums[metric.denominator],
            weights_RG,
            lower_is_better=metric.lower_is_better,
        )
        verdict = _verdict(difference.probability, len(weights_RG[0]), significance)
        rows.append(
            ComparisonRow(**vars(difference), place=name, rate=metric.name, verdict=verdict)
        )
    return rows


def _has_sums(part: Slice, metric: Metric) -> bool:
    return metric.numerator in part.sums and metric.denominator in part.sums


def _verdict(probability: float, groups: int, significance: float) -> Verdict:
    # With so few groups all of them may differ in the same direction by chance.
    if 0.5**groups >= significance:
        return "too few lines"
    if probability < significance:
        return "worse"
    return "better" if probability > 1 - significance else "no difference"


def _count_lines(part: Slice) -> int:
    return int(part.sums["lines"].sum())


def unshared_slices(before: EvaluatedSystem, after: EvaluatedSystem) -> dict[str, list[str]]:
    """Return, by name of a system, the slices that only this one has read."""
    return {
        one.name: unshared
        for one, other in ((before, after), (after, before))
        if (unshared := [name for name in one.slices if name not in other.slices])
    }


def regressions(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Return the rows in which the second system is worse in the deciding metric."""
    decides = registry.deciding_metric().name
    return [row for row in rows if row.rate == decides and row.verdict == "worse"]


def pair_systems(before: str, after: str) -> list[tuple[EvaluatedSystem, EvaluatedSystem]]:
    """Load the systems of two operands (see `load_systems`) and pair them for a comparison.

    Two single systems form a pair. Of two reports, systems of the same name do; the second report
    has to hold every system of the first with all its slices.

    Raises:
        NetchuError: an operand cannot be loaded, or the systems cannot be paired.
    """
    firsts, seconds = load_systems(before), load_systems(after)
    if len(firsts) == len(seconds) == 1:
        return list(zip(firsts.values(), seconds.values(), strict=True))
    for operand, systems, partners in ((before, firsts, seconds), (after, seconds, firsts)):
        if len(systems) > 1 and len(partners) == 1:
            raise NetchuError(f"{operand} holds {', '.join(systems)}; name one as {operand}:SYSTEM")
    for name, system in firsts.items():
        if name not in seconds:
            raise NetchuError(f"{after} lacks {name}, which {before} holds; evaluate it, too")
        if missing := [part for part in system.slices if part not in seconds[name].slices]:
            raise NetchuError(f"{after}: {name} has not read {missing[0]}; evaluate it again")
    return [(system, seconds[name]) for name, system in firsts.items()]


def load_systems(operand: str) -> dict[str, EvaluatedSystem]:
    """Load the evaluated systems that `operand` names, by name.

    Args:
        operand: a `metrics.json` or its folder, of an evaluation or of a report with several
            systems; the same followed by `:SYSTEM` for one of its systems or baselines; or a system
            of params.yaml that has been evaluated.

    Raises:
        NetchuError: there is nothing of that name, or it holds no sums by writer.
    """
    path, _, selected = operand.rpartition(":") if not Path(operand).exists() else (operand, "", "")
    if path:
        systems = _read_systems(Path(path), selected)
        if selected and selected not in systems:
            raise NetchuError(f"{path} holds {', '.join(systems)}, but not {selected}")
        return {selected: systems[selected]} if selected else systems
    if "/" in operand or operand.endswith(".json"):
        raise NetchuError(f"{operand} is not here; name a metrics.json, its folder or a system")
    from netchu.core.params import load_params  # needs pydantic, which comparing files does not

    params = load_params()
    params.system(operand)
    return _read_systems(params.models / operand / "evaluation")


def _read_systems(path: Path, baseline: str = "") -> dict[str, EvaluatedSystem]:
    """Read the systems of a file; a baseline of a report only if it is asked for."""
    content = read_metrics(path)
    contents = content.get("systems", {content.get("system", ""): content})
    if baseline in content.get("baselines", {}):
        contents = {baseline: content["baselines"][baseline]}
    if not isinstance(contents, dict) or not contents or "" in contents:
        raise NetchuError(f"{path} holds no evaluated system; name an evaluation or a report")
    return {
        str(name): EvaluatedSystem(
            f"{name} ({path})",
            _slices(metrics, f"{path}: {name}"),
            "random" in metrics.get("hub_note", ""),
        )
        for name, metrics in contents.items()
    }


def _slices(metrics: dict[str, Any], where: str) -> dict[str, Slice]:
    """Return the slices of an evaluation: overall first, then each level of each dataset."""
    if reason := metrics.get("why"):
        raise NetchuError(f"{where} has no metrics: {reason}")
    try:
        found = {OVERALL: metrics[OVERALL]} | {
            f"{dataset}/{level}": values
            for dataset, levels in metrics["datasets"].items()
            for level, values in levels.items()
        }
        return {name: _slice(values, f"{where}, {name}") for name, values in found.items()}
    except (KeyError, AttributeError, TypeError):
        raise NetchuError(
            f"{where} has no sums by writer, which the paired test needs; evaluate it again"
        ) from None


def _slice(values: dict[str, Any], where: str) -> Slice:
    decides = registry.deciding_metric()
    required = {"lines", decides.numerator, decides.denominator}
    sums = {
        name: np.asarray(values["sums"][name], np.float64)
        for name in registry.sum_columns()
        if name in required or name in values["sums"]
    }
    if len({column.shape for column in sums.values()}) > 1 or not sums["lines"].size:
        raise NetchuError(f"{where}: the sums by writer differ in length; evaluate it again")
    if any(not (np.isfinite(column) & (column >= 0)).all() for column in sums.values()):
        raise NetchuError(f"{where}: a sum by writer is not a number; evaluate it again")
    units = {metric.denominator for metric in registry.compared_metrics()}
    if any(not sums[name].all() for name in units & set(sums)):
        raise NetchuError(f"{where}: a writer without lines in the sums; evaluate it again")
    return Slice(str(values["lines_hash"]), sums)
