"""Outputs of the stages, read once for everything that the report shows."""

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
from netchu.training.stage_info import cost_file

STAGES = ("pretrain", "finetune")


@dataclass(frozen=True)
class SystemResult:
    """Outputs of the stages of one evaluated system or baseline.

    Attributes:
        system: its name.
        metrics: metrics.json. That of a baseline also has `version`, and `why` if its rates could
            not be measured.
        speed: speed.json; {} if it is missing.
        seconds: duration of each training stage, where it is known.
        history: rows of history.csv of both training stages, in order; empty for a baseline.
        predictions: of the main variant; empty for a baseline.
        skipped: lines that training left out.
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
        """Whether it has metrics."""
        return "overall" in self.metrics

    @property
    def cer(self) -> float:
        """Overall CER, a ratio."""
        return float(self.metrics["overall"]["cer"])

    def table(self, name: str) -> list[dict[str, Any]]:
        """Return one of the tables in metrics.json, see `error_tables`."""
        rows: list[dict[str, Any]] = self.metrics["tables"][name]
        return rows


@dataclass(frozen=True)
class Findings:
    """Everything that the report shows.

    Attributes:
        params: of the profile.
        results: evaluated systems by CER, best first.
        baselines: in the order of params.yaml.
        not_run: systems that are not evaluated.
        skipped: lines that preprocessing left out, by dataset.
        shown: datasets whose lines the page may show.
    """

    params: Params
    results: list[SystemResult]
    baselines: list[SystemResult]
    not_run: list[str]
    skipped: dict[str, list[Skipped]]
    shown: frozenset[str]

    @property
    def measured(self) -> list[SystemResult]:
        """Systems and baselines with metrics, by CER."""
        return by_cer(self.results + [baseline for baseline in self.baselines if baseline.measured])

    def index(self, system: str) -> int:
        """Return the system's index in params.yaml, which selects its colour and marker."""
        return list(self.params.systems).index(system)

    @property
    def local(self) -> bool:
        """Whether the page shows lines of research data, which must not be published."""
        closed = self.shown - set(self.params.report.gallery)
        return not all(self.params.is_fully_synthetic(dataset) for dataset in closed)

    def showing_all(self) -> Findings:
        """Return the same with lines of every dataset shown."""
        return replace(self, shown=frozenset(self.params.datasets))

    def other_lines(self) -> list[str]:
        """Return systems that read different lines than most, and are not comparable with them."""
        hashes = {r.system: r.metrics["overall"]["lines_hash"] for r in self.measured}
        usual = Counter(hashes.values()).most_common(1)
        return [system for system, lines in hashes.items() if lines != usual[0][0]]

    @property
    def open_datasets(self) -> set[str]:
        """Datasets whose labels may be listed: those shown and fully synthetic ones."""
        synthetic = {name for name in self.params.datasets if self.params.is_fully_synthetic(name)}
        return synthetic | self.shown

    def may_list(self, system: str) -> bool:
        """Return whether lines that `system` skipped may be listed: all are of open datasets."""
        settings = self.params.system(system)
        phases = [*settings.pretrain.values(), *settings.finetune.values()]
        return all(dataset in self.open_datasets for phase in phases for dataset in phase.datasets)


def gather_findings(params: Params, evaluations: Path) -> Findings:
    """Read the outputs of a profile's stages.

    Args:
        params: of the profile.
        evaluations: folder with one folder a system, and `baselines` with one a baseline.

    Raises:
        NetchuError: a file is damaged.
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
    """Sort by CER, best first."""
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
    speed, costs = folder / "speed.json", [cost_file(folder / stage) for stage in STAGES]
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
    """Count skipped lines by reason, with numbers and quoted texts masked.

    A reason may quote the label of a line that must not be shown.
    """
    return dict(sorted(Counter(_mask_label(line.reason) for line in skipped).items()))


def _mask_label(reason: str) -> str:
    unquoted = re.sub(r"'.*'|\".*\"|“.*”|«.*»", "…", reason)
    return re.sub(r"\d+", "N", unquoted)
