"""The metrics that DVC shows: a small file for each system, all with the same few keys.

Every value that is listed as a metric is a column of `dvc exp show`, so everything else stays in
`metrics.json` and `speed.json`. One file a system makes a table of `dvc metrics show` whose rows
are systems. Times differ from run to run; no stage depends on these files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netchu.core.files import new_folder, write_json
from netchu.report.gather import Findings, SystemResult


def write_summaries(findings: Findings, folder: Path) -> None:
    """Replace `folder` by one of `SYSTEM.json` for each evaluated system."""
    with new_folder(folder) as partial:
        for result in findings.results:
            write_json(summarise(result), partial / f"{result.system}.json")


def summarise(result: SystemResult) -> dict[str, Any]:
    """Return the summary of a system: CER of each dataset in %, MB, ms, and seconds of training.

    A dataset that was read at several levels has a CER for each, `DATASET_LEVEL`. The median
    latency is that of one line on one core. Latency or seconds that were not measured are left out.
    """
    summary: dict[str, Any] = {
        "cer": {
            name if len(levels) == 1 else f"{name}_{level}": round(100 * rates["cer"], 2)
            for name, levels in result.metrics["datasets"].items()
            for level, rates in levels.items()
        },
        "mb": round(result.metrics["size_mb"], 2),
    }
    if "latency_p50_ms" in result.speed:
        summary["p50_ms"] = round(result.speed["latency_p50_ms"], 1)
    if result.seconds:
        summary["train_s"] = round(sum(result.seconds.values()))
    return summary
