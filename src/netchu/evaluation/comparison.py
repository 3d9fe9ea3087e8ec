"""Which of two systems reads better, from the sums by writer that `metrics.json` carries.

Both have read the same lines, and every draw of writers is made for both (`bootstrap.paired`). A
system is better or worse at a place (a dataset's level, or overall) where the probability that its
rate is the lower one leaves less than NOISE, shared equally among all places that are looked at
together (Bonferroni): who looks at twenty places finds a difference by chance at one. CER decides;
WER and SER are told beside it. Chance here is the choice of writers and lines. That another seed
would have trained another network is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.bootstrap import Difference, Floats, draw, paired
from netchu.evaluation.metrics_io import read_figures

RATES = {
    "cer": ("edits", "characters"),
    "wer": ("word_edits", "words"),
    "ser": ("wrong", "lines"),
}
"""Rate -> the sums that are divided."""

OVERALL = "overall"
DECIDES = "cer"

NOISE = 0.025
"""Probability at either side that is left to chance."""

RESAMPLES = 10_000
SEED = 1

Verdict = Literal["better", "worse", "no difference", "too few lines"]


@dataclass(frozen=True)
class Place:
    """What a system read somewhere. sums: edits and units by group, in one order for all."""

    lines_hash: str
    sums: Mapping[str, Floats]


@dataclass(frozen=True)
class System:
    """A system's name, for messages, and its places: overall, kalapa/line, …"""

    name: str
    places: Mapping[str, Place]


@dataclass(frozen=True)
class Row(Difference):
    """One rate of two systems at one place; verdict: on the second system."""

    place: str
    rate: str
    verdict: Verdict


def compare(before: System, after: System, among: int = 1) -> list[Row]:
    """Each rate at each place that both have read, overall first.

    among: how many pairs of systems are looked at together.

    Raises:
        NetchuError: they share no place, or have read other lines at one.
    """
    shared = [place for place in before.places if place in after.places]
    if not shared:
        raise NetchuError(
            f"{before.name} and {after.name} have read no dataset in common; name two evaluations "
            "of one profile"
        )
    rows = []
    for place in shared:
        one, other = before.places[place], after.places[place]
        if one.lines_hash != other.lines_hash:
            raise NetchuError(
                f"{before.name} and {after.name} have read other lines of {place} "
                f"({_lines(one)} and {_lines(other)}); evaluate both on the same lines"
            )
        rows += _rows(place, one, other, NOISE / (len(shared) * among))
    return rows


def _rows(place: str, before: Place, after: Place, noise: float) -> list[Row]:
    weights_RG = draw(len(before.sums["lines"]), RESAMPLES, SEED)
    rows = []
    for rate, (edits, units) in RATES.items():
        found = paired(before.sums[edits], after.sums[edits], before.sums[units], weights_RG)
        verdict = _verdict(found.probability, len(weights_RG[0]), noise)
        rows.append(Row(**vars(found), place=place, rate=rate, verdict=verdict))
    return rows


def _verdict(probability: float, groups: int, noise: float) -> Verdict:
    if 0.5**groups >= noise:  # by chance alone all of so few may point one way
        return "too few lines"
    if probability < noise:
        return "worse"
    return "better" if probability > 1 - noise else "no difference"


def _lines(place: Place) -> int:
    return int(place.sums["lines"].sum())


def unshared(before: System, after: System) -> dict[str, list[str]]:
    """By name of a system, the places that it alone has read."""
    return {
        one.name: alone
        for one, other in ((before, after), (after, before))
        if (alone := [place for place in one.places if place not in other.places])
    }


def worse(rows: Sequence[Row]) -> list[Row]:
    """The rows that say that the second system is worse: those of CER alone decide."""
    return [row for row in rows if row.rate == DECIDES and row.verdict == "worse"]


def pairs(before: str, after: str) -> list[tuple[System, System]]:
    """The systems of two operands (`systems`) that are to be compared.

    One with one; or of two reports those of equal name, of which the second must lack none and no
    place of it.

    Raises:
        NetchuError: see `systems`; or they cannot be paired.
    """
    ones, others = systems(before), systems(after)
    if len(ones) == len(others) == 1:
        return list(zip(ones.values(), others.values(), strict=True))
    for operand, found, partner in ((before, ones, others), (after, others, ones)):
        if len(found) > 1 and len(partner) == 1:
            raise NetchuError(f"{operand} holds {', '.join(found)}; name one as {operand}:SYSTEM")
    for name, system in ones.items():
        if name not in others:
            raise NetchuError(f"{after} lacks {name}, which stands in {before}; evaluate it, too")
        if lost := [place for place in system.places if place not in others[name].places]:
            raise NetchuError(f"{after}: {name} has not read {lost[0]}; evaluate it again")
    return [(system, others[name]) for name, system in ones.items()]


def systems(operand: str) -> dict[str, System]:
    """The systems that `operand` names, by name.

    operand: a `metrics.json` or its folder, of an evaluation or of a report with several systems;
    with `:SYSTEM` behind it one of these, or one of the report's baselines; or a system of params.yaml
    that has been evaluated.

    Raises:
        NetchuError: there is nothing of that name, or it holds no sums to compare by.
    """
    path, _, chosen = operand.rpartition(":") if not Path(operand).exists() else (operand, "", "")
    if path:
        found = _read(Path(path), chosen)
        if chosen and chosen not in found:
            raise NetchuError(f"{path} holds no {chosen}, but {', '.join(found)}")
        return {chosen: found[chosen]} if chosen else found
    if "/" in operand or operand.endswith(".json"):
        raise NetchuError(f"{operand} is not here; name a metrics.json, its folder or a system")
    from netchu.core.params import load_params  # pydantic, which reading files does not need

    params = load_params()
    params.system(operand)
    return _read(params.models / operand / "evaluation")


def _read(path: Path, baseline: str = "") -> dict[str, System]:
    """The systems of a file; of a report's baselines only the one that is asked for."""
    content = read_figures(path)
    contents = content.get("systems", {content.get("system", ""): content})
    if baseline in content.get("baselines", {}):
        contents = {baseline: content["baselines"][baseline]}
    if not isinstance(contents, dict) or not contents or "" in contents:
        raise NetchuError(f"{path} holds no evaluated system; name an evaluation or a report")
    return {
        str(name): System(f"{name} ({path})", _places(figures, f"{path}: {name}"))
        for name, figures in contents.items()
    }


def _places(figures: dict[str, Any], where: str) -> dict[str, Place]:
    """Overall first, then datasets in their order; what was not measured is left out."""
    if why := figures.get("why"):
        raise NetchuError(f"{where} has no rates: {why}")
    try:
        found = {OVERALL: figures[OVERALL]} | {
            f"{dataset}/{level}": rates
            for dataset, levels in figures["datasets"].items()
            for level, rates in levels.items()
        }
        return {place: _place(rates, f"{where}, {place}") for place, rates in found.items()}
    except (KeyError, AttributeError, TypeError):
        raise NetchuError(
            f"{where} has no sums by writer, so no paired test is possible; evaluate it again"
        ) from None


def _place(rates: dict[str, Any], where: str) -> Place:
    names = {name for columns in RATES.values() for name in columns}
    sums = {name: np.asarray(rates["sums"][name], np.float64) for name in sorted(names)}
    if len({values.shape for values in sums.values()}) > 1 or not sums["lines"].size:
        raise NetchuError(f"{where}: the sums by writer do not fit together; evaluate it again")
    if any(not (np.isfinite(values) & (values >= 0)).all() for values in sums.values()):
        raise NetchuError(f"{where}: a sum is not a number; evaluate it again")
    if any(not sums[units].all() for _, units in RATES.values()):
        raise NetchuError(f"{where}: a writer without lines among the sums; evaluate it again")
    return Place(str(rates["lines_hash"]), sums)
