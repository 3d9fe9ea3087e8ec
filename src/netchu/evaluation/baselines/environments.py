"""Python environments of baselines, created by uv on first use."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from netchu.evaluation.baselines.base import Environment, UnavailableError
from netchu.evaluation.baselines.processes import run_program

HOME = Path(".baselines")
"""Folder of environments, logs and scratch folders, ignored by git and DVC."""

INSTALL_MINUTES = 30
"""Time limit for downloading and installing a baseline."""


def environment_bin(environment: Environment | None) -> Path:
    """Return the folder of an environment's executables; of netchu's own if it is None.

    Creates the environment unless it exists with the same packages.

    Raises:
        UnavailableError: the packages cannot be installed.
    """
    if environment is None:
        return Path(sys.executable).parent
    folder = (HOME / environment.name / "environment").resolve()
    wanted = f"{environment.python}\n" + "\n".join(environment.packages)
    installed = folder / "made.txt"
    if not installed.is_file() or installed.read_text(encoding="utf-8") != wanted:
        _install(environment, folder)
        installed.write_text(wanted, encoding="utf-8")
    return folder / "bin"


def _install(environment: Environment, folder: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise UnavailableError("installing it needs uv: pip install uv")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name("install.log")
    commands = (
        [uv, "venv", "--quiet", "--no-project", "--python", environment.python, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"),
         *environment.packages],
    )  # fmt: skip
    try:
        for command in commands:
            run_program(command, log, 60 * INSTALL_MINUTES, {})
    except UnavailableError as error:
        shutil.rmtree(folder, ignore_errors=True)
        wanted = f"{' '.join(environment.packages)} on Python {environment.python}"
        raise UnavailableError(f"{wanted} cannot be installed: {error}") from None
