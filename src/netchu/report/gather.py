"""What the stages left behind, read once for everything the report shows."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from netchu.errors import NetchuError
from netchu.lines import Skipped, read_skipped
from netchu.params import Params

STAGES = ("pretrain", "finetune")


@dataclass(frozen=True)
class SystemResult:
    """What is known of one evaluated system.

    metrics: evaluation's metrics.json. speed: speed.json ({} where it is missing). seconds: of each
    training stage whose cost is known. history: rows of history.csv of both stages, in order.
    predictions: of the main variant. skipped: lines that training left out.
    """

    system: str
    metrics: dict[str, Any]
    speed: dict[str, Any]
    seconds: dict[str, float]
    history: pd.DataFrame
    predictions: pd.DataFrame
    skipped: list[Skipped]

    @property
    def cer(self) -> float:
        """Overall CER, a ratio."""
        return float(self.metrics["overall"]["cer"])


@dataclass(frozen=True)
class Findings:
    """Everything the report is made of; results stand by CER, the best first."""

    params: Params
    results: list[SystemResult]
    not_run: list[str]
    skipped: dict[str, list[Skipped]]

    @property
    def open_datasets(self) -> set[str]:
        """Datasets whose labels may be shown: the gallery's, and those that borrow nothing."""
        own = {name for name in self.params.datasets if self.params.borrows_nothing(name)}
        return own | set(self.params.report.gallery)

    def may_list(self, system: str) -> bool:
        """Whether the lines `system` skipped may be listed: it saw open datasets only."""
        phases = self.params.system(system).pretrain + self.params.system(system).finetune
        return all(dataset in self.open_datasets for phase in phases for dataset in phase.datasets)


def gather(params: Params, evaluations: Path) -> Findings:
    """Read the folders `evaluations`/<system> and the skipped lines of the profile's datasets.

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
        sorted(results, key=lambda result: (result.cer, result.system)),
        [system for system in params.systems if system not in evaluated],
        {name: read_skipped(t) for name, t in tables.items() if (t / "skipped.csv").is_file()},
    )


def _result(folder: Path, system: str) -> SystemResult:
    metrics = read_json(folder / "evaluation" / "metrics.json")
    predictions = pd.read_parquet(folder / "evaluation" / "predictions.parquet")
    speed, costs = folder / "speed.json", [folder / f"{stage}.cost.json" for stage in STAGES]
    histories = [folder / stage / "history.csv" for stage in STAGES]
    read = [pd.read_csv(path) for path in histories if path.is_file()]
    return SystemResult(
        system,
        metrics,
        read_json(speed) if speed.is_file() else {},
        {
            s: float(read_json(c)["seconds"])
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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; a broken one is an error that names it."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise NetchuError(f"{path} is not JSON ({error}); remove it and run 'dvc repro'") from None
    return content


def count_reasons(skipped: list[Skipped]) -> dict[str, int]:
    """How many lines fell to each reason, with numbers and quoted labels left out of the reason.

    A reason may quote the label of a line that must not be shown.
    """
    return dict(sorted(Counter(_mask(line.reason) for line in skipped).items()))


def _mask(reason: str) -> str:
    unquoted = re.sub(r"'.*'|\".*\"|“.*”|«.*»", "…", reason)
    return re.sub(r"\d+", "N", unquoted)
