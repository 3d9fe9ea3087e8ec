"""What the scripts of all DVC stages have in common: arguments, parameters, errors in one line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from netchu.core.errors import STOPPED, one_line_errors
from netchu.core.params import Params, load_params


def run_stage(description: str | None, work: Callable[[Params], None]) -> None:
    """Run a stage that takes no argument: call `work` with the parameters of `params.yaml`."""
    argparse.ArgumentParser(description=description).parse_args()
    with one_line_errors():
        work(load_params())


def run_stage_for(
    description: str | None,
    argument: str,
    meaning: str,
    work: Callable[[Params, str], None],
    *,
    interrupted: str = STOPPED,
) -> None:
    """Run a stage of `foreach`: call `work` with the parameters and the key given to the script.

    Args:
        description: what `--help` prints, the docstring of the script.
        argument: name of the key in `--help`.
        meaning: what the key may be, for `--help`.
        work: the stage; it imports torch itself, after the compute environment is set.
        interrupted: what is printed after Ctrl-C.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(argument, help=meaning)
    key = getattr(parser.parse_args(), argument)
    with one_line_errors(interrupted):
        work(load_params(), key)
