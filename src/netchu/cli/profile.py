"""The command `netchu profile`."""

from __future__ import annotations

from typing import Annotated

import typer

from netchu.core.errors import needs_extra


@needs_extra("train", "a profile")
def profile_command(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="A file of conf/profile, without .yaml.")
    ] = "",
    discard: Annotated[
        bool, typer.Option("--discard", help="Throw edits of params.yaml away.")
    ] = False,
) -> None:
    """Compose params.yaml for a profile, or say what it holds.

    With NAME, writes params.yaml from conf/. Refuses to overwrite edits, unless
    they are to be discarded. Without NAME, prints the profile of params.yaml and
    the keys that differ from it. Needs the extra: pip install 'netchu[train]'

    \b
    Examples:
      netchu profile real            # dvc repro then runs the profile real
      netchu profile                 # which profile, and what is edited
      netchu profile laptop --discard

    \b
    Exit codes:
      0  params.yaml is written, or described
      2  there is no such profile, it is wrong, or params.yaml has edits
    """
    from netchu.core.params import load_params
    from netchu.pipeline.profiles import PARAMS, edits, read_params_file, switch_profile

    if name:
        switch_profile(name, discard)
        changed = {}
    else:
        changed = edits(read_params_file())
    keys = "1 key" if len(changed) == 1 else f"{len(changed)} keys"
    print(f"{PARAMS}: profile {load_params(PARAMS).profile}, {keys} edited")
    for key, (composed, found) in changed.items():
        print(f"  {key}: {composed} -> {found}")
