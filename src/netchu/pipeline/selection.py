"""One fingerprint of data for each DVC stage and key, written by the stages `selection`.

A system depends on the datasets that its phases name and on no other: a new dataset, or a change
of one that a system does not read, leaves the system's file as it is and retrains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netchu.core.files import hash_folder, new_folder, write_json
from netchu.core.params import Params, PhaseParams
from netchu.release.corpora import MORE_SOURCES, SOURCES


def select_raw(params: Params) -> dict[str, dict[str, Any]]:
    """Return what the stages that make lines and texts read of the fetched sources.

    Returns:
        `synthesize@NAME` for each synthetic dataset, and `language`: hashes by source.
    """
    selected: dict[str, dict[str, Any]] = {}
    for name, wanted in params.synthetic.items():
        selected[f"synthesize@{name}"] = {
            "fonts": hash_folder(params.raw / "fonts") if wanted.renderer == "font" else "",
            "corpora": {Path(folder).name: hash_folder(Path(folder)) for folder in wanted.corpora},
            "datasets": {
                dataset: {
                    "input": hash_folder(Path(params.dataset(dataset).input)),
                    "params": asdict(params.dataset(dataset)),
                }
                for dataset in params.read_by(wanted)
            },
        }
    texts = [source for source in (*SOURCES, *MORE_SOURCES) if source in params.sources]
    selected["language"] = {source: hash_folder(params.raw / source) for source in texts}
    return selected


def select_lines(params: Params) -> dict[str, dict[str, str]]:
    """Return what the stages that train, evaluate and export read of the line tables.

    Returns:
        `pretrain@SYSTEM`, `finetune@SYSTEM`, `baselines@NAME`, `evaluate` and `language`: hashes by
        dataset.
    """
    wanted: dict[str, set[str]] = {"evaluate": set(params.evaluate.datasets)}
    for name, system in params.systems.items():
        wanted[f"pretrain@{name}"] = _datasets(system.pretrain.values())
        wanted[f"finetune@{name}"] = _datasets(system.finetune.values())
    for name in params.baselines:
        wanted[f"baselines@{name}"] = set(params.evaluate.datasets)
    wanted["language"] = set(params.handwriting)
    hashes = {}
    for name in sorted(set.union(*wanted.values())):
        params.dataset(name)  # an unknown name is an error that lists the known ones
        hashes[name] = hash_folder(params.lines / name)
    return {
        stage: {name: hashes[name] for name in sorted(names)} for stage, names in wanted.items()
    }


def write_selection(selected: dict[str, Any], folder: Path) -> None:
    """Write the hashes of each stage to a JSON file of its name in `folder`."""
    with new_folder(folder) as partial:
        for name, hashes in selected.items():
            write_json(hashes, partial / f"{name}.json")


def _datasets(phases: Iterable[PhaseParams]) -> set[str]:
    return {name for phase in phases for name in phase.datasets}
