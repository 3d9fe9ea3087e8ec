"""The stages and phases of a system's training, and the code they run. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from netchu.core import fingerprints
from netchu.core.params import Params, PhaseParams


def training_stages(params: Params, system: str) -> tuple[str, ...]:
    """Return the stages that train `system`, less the pretraining of another system."""
    start = params.system(system).start or system
    return ("pretrain", "finetune") if start == system else ("finetune",)


def stage_phases(params: Params, system: str, stage: str) -> list[PhaseParams]:
    """Return the phases of a training stage; the pretraining may be that of another system."""
    settings = params.system(system)
    if stage == "pretrain":
        return list(params.system(settings.start or system).pretrain.values())
    return list(settings.finetune.values())


def training_phases(params: Params, system: str) -> list[PhaseParams]:
    """Return all phases of those stages, in order."""
    return [
        phase
        for stage in training_stages(params, system)
        for phase in stage_phases(params, system, stage)
    ]


def code_fingerprint(network: str) -> str:
    """Return a hash of all code that runs when `network` is trained, of its own file too."""
    package = fingerprints.PACKAGE
    own = package / "models" / "networks" / f"{network}.py"
    entries = [package / "training" / "stage.py", own]
    return fingerprints.fingerprint(entries)


def cost_file(folder: Path) -> Path:
    """Return the file beside a model folder that holds the seconds its training took."""
    return folder.with_name(f"{folder.name}.cost.json")
