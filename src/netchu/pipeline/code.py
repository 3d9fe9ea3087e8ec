"""One fingerprint of code for each DVC stage and key, written by the stage `code`.

Every other stage in dvc.yaml depends on its own file in `fingerprints/code`, so an edit runs again
only the stages whose script, network or source imports the edited file.
"""

from __future__ import annotations

from pathlib import Path

from netchu.core.files import new_folder
from netchu.core.fingerprints import PACKAGE, fingerprint
from netchu.data.fetch import SOURCES
from netchu.data.parse import HANDWRITING
from netchu.models import NETWORKS

WRITES_NOTHING = ("tracking",)
"""Packages that change no byte of a stage's outputs: logging to MLflow retrains no model."""


def stage_entries(stages: Path) -> dict[str, list[Path]]:
    """Return the files from which the imports of each stage start: its script, and what it loads
    by name.

    Args:
        stages: the folder of stage scripts.

    Returns:
        Names as in dvc.yaml, `stage` or `stage@key`; the key is a source of lines, or a network.
    """
    networks = {name: PACKAGE / "models" / "networks" / f"{name}.py" for name in NETWORKS}
    fetched = {name: PACKAGE / "data" / "fetch" / f"{name}.py" for name in SOURCES}
    parsed = {
        name: PACKAGE / "data" / "parse" / "handwriting" / f"{name}.py" for name in HANDWRITING
    }
    keyed = {
        "download": fetched,
        "preprocess": parsed,
        **dict.fromkeys(("pretrain", "finetune", "evaluate", "export"), networks),
    }
    entries: dict[str, list[Path]] = {}
    for script in sorted({*stages.glob("*.py")} - {stages / "code.py"}):
        if script.stem in keyed:
            for key, module in keyed[script.stem].items():
                entries[f"{script.stem}@{key}"] = [script, _existing(module)]
        elif script.stem == "synthesize":  # which may copy and borrow from any source of lines
            entries[script.stem] = [script, *map(_existing, parsed.values())]
        else:
            entries[script.stem] = [script]
    return entries


def write_fingerprints(stages: Path, folder: Path) -> None:
    """Write the fingerprint of each stage to a file of its name in `folder`."""
    with new_folder(folder) as partial:
        for name, entries in stage_entries(stages).items():
            text = fingerprint(entries, WRITES_NOTHING)
            (partial / name).write_text(text + "\n", encoding="utf-8")


def _existing(module: Path) -> Path:
    """Return the file of a module, or of a package of the same name."""
    return module if module.is_file() else module.with_suffix("") / "__init__.py"
