"""The files that the stage `export` writes for a system, beside the exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.files import read_json

EXPORT_FOLDER, EXPORT, EXPORT_SPEED = "export", "export.json", "export.speed.json"

WHY_EMPTY = "why"
"""Key of the reason in both JSON files if there is no exported model, because it reads nothing."""


def read_export(home: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return export.json and export.speed.json of a system.

    Args:
        home: folder of the system, models/PROFILE/SYSTEM.

    Raises:
        NetchuError: it was not exported, or its export is empty.
    """
    remedy = "run 'dvc repro' to write it again"
    export, speed = (read_json(home / name, remedy) for name in (EXPORT, EXPORT_SPEED))
    if reason := export.get(WHY_EMPTY):
        raise NetchuError(f"{home / EXPORT_FOLDER} is empty: {reason}")
    return export, speed
