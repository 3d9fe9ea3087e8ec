"""What a report was made from: `lineage.json` beside it.

It holds no time and no run id, so the same work on the same machine gives the same bytes. Hashes
are SHA-256. What is not known is named under `unknown`, with the reason.
"""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from netchu.core.files import hash_file, read_json, write_json
from netchu.core.params import Params
from netchu.core.paths import FINGERPRINTS
from netchu.evaluation.metrics_io import read_metrics
from netchu.pipeline.profiles import PARAMS

FILE = "lineage.json"
LOCK = Path("requirements.lock")
HASHED = ("metrics.json", "speed.json")
PACKAGES = ("torch", "lightning", "onnxruntime", "numpy")
REPRO = "run 'dvc repro' to make it"


def write_lineage(params: Params, folder: Path) -> None:
    """Write what the report in `folder` was made from.

    - `files`: hashes of the report's metrics.json and speed.json,
    - `params`: hash of the values of params.yaml,
    - `code`: fingerprint of each stage of the profile,
    - `lines`, `texts`: hashes of the line tables, and of the texts of the language model,
    - `environment`: versions, and the hash of requirements.lock, in the stage `report`,
    - `machines`: those on which systems and baselines were timed, from speed.json.

    Args:
        params: of the profile, as in params.yaml.
        folder: a report that is complete but for this file.

    Raises:
        NetchuError: speed.json or a fingerprint of data is damaged.
    """
    data = FINGERPRINTS / params.profile
    speed = read_metrics(folder / "speed.json")
    sections: dict[str, dict[str, Any]] = {
        "params": {PARAMS.name: _hash_values(PARAMS)},
        "code": {name: _text(FINGERPRINTS / "code" / name) for name in code_names(params)},
        "lines": _merged(sorted(data.glob("lines/*.json"))),
        "texts": _merged([data / "raw" / "language.json"]),
        "environment": {
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
            LOCK.name: hash_file(LOCK) if LOCK.is_file() else None,
        },
    }
    known = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in sections.items()
    }
    missing = {
        f"{section}/{key}": "not there when the report was built"
        for section, values in sections.items()
        for key in values
        if key not in known[section]
    }
    content = {
        "profile": params.profile,
        "files": {name: hash_file(folder / name) for name in HASHED},
        "machines": sorted({timed["speed"].get("machine", "") for timed in speed.values()} - {""}),
        **known,
        "unknown": missing,
    }
    write_json(content, folder / FILE)


def code_names(params: Params) -> list[str]:
    """Return the names of the fingerprints of code on which the profile's stages depend."""
    networks = {params.network(system) for system in params.systems}
    return sorted({
        "selection", "language", "report",
        *(["synthesize"] if params.synthetic else []),
        *(["baselines"] if params.baselines else []),
        *(f"download@{source}" for source in params.sources),
        *(f"preprocess@{dataset.source}" for dataset in params.datasets.values()),
        *(f"{stage}@{network}" for stage in ("pretrain", "finetune", "evaluate")
          for network in networks),
        *(f"export@{params.network(system)}" for system in params.exports),
    })  # fmt: skip


def _hash_values(path: Path) -> str:
    """Return a hash of the values of a YAML file, whatever its comments and layout."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _merged(files: list[Path]) -> dict[str, Any]:
    """Return what JSON files, each a mapping, hold together."""
    return {key: value for file in files for key, value in read_json(file, REPRO).items()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
