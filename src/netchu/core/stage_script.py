"""What the scripts of all DVC stages have in common: arguments, parameters, locks, errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from netchu.core.errors import STOPPED, one_line_errors
from netchu.core.files import remove_abandoned_files
from netchu.core.launcher import launch, launcher
from netchu.core.locks import exclusive_lock
from netchu.core.params import Params, load_params
from netchu.core.paths import CHECKPOINTS
from netchu.core.runtime import is_main_process

LOCKS = CHECKPOINTS / ".locks"
"""Folder of the locks of running stages."""


def run_stage(description: str | None, work: Callable[[Params], None]) -> None:
    """Run a stage that takes no argument: call `work` with the parameters of `params.yaml`."""
    argparse.ArgumentParser(description=description).parse_args()
    with one_line_errors():
        params = load_params()
        with stage_lock(_stage(), params.profile):
            remove_abandoned_files(params.report_folder)
            work(params)


def run_stage_for(
    description: str | None,
    argument: str,
    meaning: str,
    work: Callable[[Params, str], None],
    *,
    choices: Collection[str] | None = None,
    interrupted: str = STOPPED,
    distributed: bool = False,
) -> None:
    """Run a stage of `foreach`: call `work` with the parameters and the key given to the script.

    Args:
        description: what `--help` prints, the docstring of the script.
        argument: name of the key in `--help`.
        meaning: what the key may be, for `--help`.
        work: the stage; it imports torch itself, after the compute environment is set.
        choices: the keys that there are, if they do not depend on the parameters.
        interrupted: what is printed after Ctrl-C and SIGTERM.
        distributed: whether the stage may run in several processes (`core.launcher`).
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(argument, help=meaning, choices=choices)
    key = getattr(parser.parse_args(), argument)
    with one_line_errors(interrupted):
        params = load_params()
        if distributed and (command := launcher(params.trainer)):
            launch(command)
            return
        # The other processes of a distributed training run the same script.
        lock = stage_lock(f"{_stage()}@{key}", params.profile) if is_main_process() else None
        with lock or nullcontext():
            remove_abandoned_files(params.models / key)
            work(params, key)


@contextmanager
def stage_lock(stage: str, profile: str = "") -> Iterator[None]:
    """Keep other runs of a stage from starting while the block runs.

    Args:
        stage: name of the stage, with its key.
        profile: whose outputs it writes; "" for a stage that no profile owns.

    Raises:
        NetchuError: the stage is running already.
    """
    name = " ".join(filter(None, (profile, stage))).replace("/", "_")
    with exclusive_lock(LOCKS / name, f"running the stage {name}"):
        yield


def _stage() -> str:
    return Path(sys.argv[0]).stem
