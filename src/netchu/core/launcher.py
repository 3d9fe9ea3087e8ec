"""Starting the processes of a distributed training by torchrun or the launcher of a cluster.

What launches belongs to a machine, and not to an experiment: it stands in the environment, so that
it changes neither what DVC depends on nor a byte of the outputs.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from netchu.core.errors import NetchuError
from netchu.core.params import TrainerParams

LAUNCHER = "NETCHU_LAUNCHER"
"""Environment variable: the command in front of the script of a stage that trains."""

_LAUNCHED = "NETCHU_LAUNCHED"
"""Environment variable of the launched processes, which must not launch again."""

_GRACE_SECONDS = 60
"""How long launched processes may take to end after SIGTERM."""


def launcher(trainer: TrainerParams) -> list[str]:
    """Return the command that starts a script in all processes of a training; [] for one process.

    It is `NETCHU_LAUNCHER` if that is set, and torchrun for several devices of one machine.

    Raises:
        NetchuError: several nodes without a launcher, or one that is no command.
    """
    if os.environ.get(_LAUNCHED):
        return []
    if command := os.environ.get(LAUNCHER):
        try:
            return shlex.split(command)
        except ValueError as error:
            raise NetchuError(f"{LAUNCHER} is no command ({error}); correct it") from None
    if trainer.num_nodes > 1:
        raise NetchuError(
            f"params.yaml trainer.num_nodes: {trainer.num_nodes} machines need a launcher; set "
            f"{LAUNCHER}, for example to 'srun --kill-on-bad-exit python' (docs/scaling.md)"
        )
    if trainer.devices > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        return [*torchrun, f"--nproc-per-node={trainer.devices}"]
    return []


def launch(command: list[str]) -> None:
    """Run this script with its arguments in all processes, and wait for them.

    SIGTERM and Ctrl-C end them too.

    Raises:
        NetchuError: there is no such launcher, or one of the processes has failed.
    """
    # Without the launcher, so that processes that do not get `_LAUNCHED` do not start it again.
    environment = {name: value for name, value in os.environ.items() if name != LAUNCHER}
    try:
        processes = subprocess.Popen([*command, *sys.argv], env=environment | {_LAUNCHED: "1"})
    except OSError as error:
        raise NetchuError(f"{LAUNCHER}: {command[0]} cannot be run ({error.strerror})") from None
    try:
        code = processes.wait()
    except BaseException:
        processes.terminate()
        try:
            processes.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            processes.kill()
        raise
    if code:
        raise NetchuError(
            f"a process of the training failed ({command[0]} ended with {code}; see above); the "
            "next run resumes from the last checkpoint"
        )
