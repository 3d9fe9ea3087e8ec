"""The parameters of a profile, as `dvc exp run -S profile=NAME` composes them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.core.params import Params, load_params

CONFIG = Path("conf")


def compose_profile(profile: str, config: Path = CONFIG) -> Params:
    """Return the parameters of a profile without changing params.yaml.

    Args:
        profile: a file of `config`/profile, without its suffix.
        config: folder of config.yaml, relative to the working directory.

    Raises:
        NetchuError: there is no such profile, or a key of it is wrong.
    """
    from dvc.utils.hydra import compose_and_dump

    known = sorted(path.stem for path in (config / "profile").glob("*.yaml"))
    if profile not in known:
        raise NetchuError(f"no profile {profile!r} in {config}/profile; it has {', '.join(known)}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        compose_and_dump(file, str(config.resolve()), None, "config", None, [f"profile={profile}"])
        return load_params(file)
