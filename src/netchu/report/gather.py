"""What the stages left behind, read once for everything the report shows."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from netchu.core.params import Params
from netchu.data.line_table import Skipped, read_skipped
from netchu.evaluation.metrics_io import read_metrics

STAGES = ("pretrain", "finetune")


@dataclass(frozen=True)
class SystemResult:
    """What is known of one evaluated system.

    metrics: evaluation's metrics.json. speed: speed.json ({} where it is missing). seconds: of each
    training stage whose cost is known. history: rows of history.csv of both stages, in order.
    predictions: of the main variant. skipped: lines that training left out. A baseline, which is
    another's software, has a `version` and a `why` where its rates could not be measured; the page
    shows nothing else of it.
    """

    system: str
    metrics: dict[str, Any]
    speed: dict[str, Any]
    seconds: dict[str, float]
    history: pd.DataFrame
    predictions: pd.DataFrame
    skipped: list[Skipped]

    @property
    def measured(self) -> bool:
        """Whether it read the lines."""
        return "overall" in self.metrics

    @property
    def cer(self) -> float:
        """Overall CER, a ratio."""
        return float(self.metrics["overall"]["cer"])

    def table(self, name: str) -> list[dict[str, Any]]:
        """One of the lists in the metrics' `tables`."""
        rows: list[dict[str, Any]] = self.metrics["tables"][name]
        return rows


@dataclass(frozen=True)
class Findings:
    """Everything the report is made of; results stand by CER, the best first.

    shown: the datasets whose lines may be seen in it.
    """

    params: Params
    results: list[SystemResult]
    baselines: list[SystemResult]
    not_run: list[str]
    skipped: dict[str, list[Skipped]]
    shown: frozenset[str]

    @property
    def measured(self) -> list[SystemResult]:
        """Systems and baselines that read the lines, by CER."""
        return by_cer(self.results + [baseline for baseline in self.baselines if baseline.measured])

    def place(self, system: str) -> int:
        """The system's number in params.yaml, which gives it its colour and shape everywhere."""
        return list(self.params.systems).index(system)

    @property
    def local(self) -> bool:
        """Whether lines may be seen that must not leave the machine of those who hold the data."""
        closed = self.shown - set(self.params.report.gallery)
        return not all(self.params.is_fully_synthetic(dataset) for dataset in closed)

    def showing_all(self) -> Findings:
        """The same, with the lines of every dataset: for nobody but who holds the data."""
        return replace(self, shown=frozenset(self.params.datasets))

    def other_lines(self) -> list[str]:
        """Systems that did not read the lines that most did, and cannot be compared with them."""
        hashes = {r.system: r.metrics["overall"]["lines_hash"] for r in self.measured}
        usual = Counter(hashes.values()).most_common(1)
        return [system for system, lines in hashes.items() if lines != usual[0][0]]

    @property
    def open_datasets(self) -> set[str]:
        """Datasets whose labels may be listed: those shown, and those that borrow nothing."""
        own = {name for name in self.params.datasets if self.params.is_fully_synthetic(name)}
        return own | self.shown

    def may_list(self, system: str) -> bool:
        """Whether the lines `system` skipped may be listed: it saw open datasets only."""
        phases = self.params.system(system).pretrain + self.params.system(system).finetune
        return all(dataset in self.open_datasets for phase in phases for dataset in phase.datasets)


def gather(params: Params, evaluations: Path) -> Findings:
    """Read `evaluations`/<system> and /baselines/<baseline>, and the skipped lines of the datasets.

    Raises:
        NetchuError: a file that is there is broken.
    """
    evaluated = [
        s for s in params.systems if (evaluations / s / "evaluation" / "metrics.json").is_file()
    ]
    results = [_result(evaluations / system, system) for system in evaluated]
    tables = {name: params.lines / name for name in params.datasets}
    return Findings(
        params,
        by_cer(results),
        [
            _baseline(evaluations / "baselines" / name)
            for name in params.baselines
            if (evaluations / "baselines" / name / "metrics.json").is_file()
        ],
        [system for system in params.systems if system not in evaluated],
        {name: read_skipped(t) for name, t in tables.items() if (t / "skipped.csv").is_file()},
        frozenset(params.report.gallery),
    )


def by_cer(results: list[SystemResult]) -> list[SystemResult]:
    """The best first."""
    return sorted(results, key=lambda result: (result.cer, result.system))


def _baseline(folder: Path) -> SystemResult:
    metrics = read_metrics(folder)
    speed = folder / "speed.json"
    seconds = {entry["stage"]: float(entry["seconds"]) for entry in metrics["training"]}
    nothing = pd.DataFrame()
    read = read_metrics(speed) if speed.is_file() else {}
    return SystemResult(metrics["system"], metrics, read, seconds, nothing, nothing, [])


def _result(folder: Path, system: str) -> SystemResult:
    metrics = read_metrics(folder / "evaluation" / "metrics.json")
    predictions = pd.read_parquet(folder / "evaluation" / "predictions.parquet")
    speed, costs = folder / "speed.json", [folder / f"{stage}.cost.json" for stage in STAGES]
    histories = [folder / stage / "history.csv" for stage in STAGES]
    read = [pd.read_csv(path) for path in histories if path.is_file()]
    return SystemResult(
        system,
        metrics,
        read_metrics(speed) if speed.is_file() else {},
        {
            s: float(read_metrics(c)["seconds"])
            for s, c in zip(STAGES, costs, strict=True)
            if c.is_file()
        },
        pd.concat(read, ignore_index=True) if read else pd.DataFrame(),
        predictions[predictions["variant"] == metrics["main"]].reset_index(drop=True),
        [
            line
            for stage in STAGES
            if (folder / stage / "skipped.csv").is_file()
            for line in read_skipped(folder / stage)
        ],
    )


def count_reasons(skipped: list[Skipped]) -> dict[str, int]:
    """How many lines fell to each reason, with numbers and quoted labels left out of the reason.

    A reason may quote the label of a line that must not be shown.
    """
    return dict(sorted(Counter(_mask(line.reason) for line in skipped).items()))


def _mask(reason: str) -> str:
    unquoted = re.sub(r"'.*'|\".*\"|“.*”|«.*»", "…", reason)
    return re.sub(r"\d+", "N", unquoted)
