"""Environments of the baselines' own, made by uv when they are first wanted."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from netchu.evaluation.baselines.base import Environment, UnavailableError
from netchu.evaluation.baselines.processes import run

HOME = Path(".baselines")
"""Where environments, logs and scratch folders lie; nothing in it is kept by git or DVC."""

MINUTES = 30
"""To download and install a baseline."""


def programs(environment: Environment | None) -> Path:
    """The folder of an environment's programs (python, for one); netchu's own where it is None.

    An environment that was made before of the same packages is taken as it is.

    Raises:
        UnavailableError: it cannot be installed here; the reason in one line.
    """
    if environment is None:
        return Path(sys.executable).parent
    folder = (HOME / environment.name / "environment").resolve()
    wanted = f"{environment.python}\n" + "\n".join(environment.packages)
    made = folder / "made.txt"
    if not made.is_file() or made.read_text(encoding="utf-8") != wanted:
        _install(environment, folder)
        made.write_text(wanted, encoding="utf-8")
    return folder / "bin"


def _install(environment: Environment, folder: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise UnavailableError("uv, which installs it, is not here: pip install uv")
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
            run(command, log, 60 * MINUTES, {})
    except UnavailableError as error:
        shutil.rmtree(folder, ignore_errors=True)
        wanted = f"{' '.join(environment.packages)} on Python {environment.python}"
        raise UnavailableError(f"{wanted} cannot be installed: {error}") from None
