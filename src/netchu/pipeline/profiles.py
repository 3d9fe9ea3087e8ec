"""Profiles: `conf/` composed into params.yaml, and what was edited there since.

DVC's own composition (`hydra.enabled`) is off, because it writes params.yaml again in every
`dvc exp run`: edits would be lost, and the profile would be that of `conf/config.yaml`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from netchu.core.errors import NetchuError
from netchu.core.files import new_file
from netchu.core.params import Params, load_params, parse_config

CONF = Path("conf")
PARAMS = Path("params.yaml")
HEADER = """\
# Profile {name}, composed from conf/ by 'netchu profile {name}'. All stages read this file as it
# is: edit it, or change a key for one run with 'dvc exp run -S KEY=VALUE'. 'netchu profile' lists
# the edits; another profile replaces them.
"""


def compose(name: str) -> str:
    """Return the text of params.yaml in a profile.

    Raises:
        NetchuError: there is no such profile, it cannot be composed, or its file names another.
    """
    from dvc.utils.hydra import compose_and_dump
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    known = sorted(path.stem for path in (CONF / "profile").glob("*.yaml"))
    if name not in known:
        raise NetchuError(f"no profile {name!r} in {CONF}/profile; it has {', '.join(known)}")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        # Quoted, or Hydra would read a number, a list or a null.
        quoted = name.replace("'", r"\'")
        overrides = [f"profile='{quoted}'"]
        try:
            compose_and_dump(str(file), str(CONF.resolve()), None, "config", "", overrides)
        except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
            raise NetchuError(
                f"conf/profile/{name}.yaml cannot be composed: {' '.join(str(error).split())}"
            ) from None
        text = file.read_text(encoding="utf-8")
    if (own := yaml.safe_load(text).get("profile")) != name:
        raise NetchuError(
            f"conf/profile/{name}.yaml has the key 'profile: {own}', so it would write into the "
            f"folders of that profile; write 'profile: \"{name}\"' and data/{name}/… in its paths"
        )
    return HEADER.format(name=name) + text


def compose_profile(name: str) -> Params:
    """Return the parameters of a profile without changing params.yaml.

    Raises:
        NetchuError: there is no such profile, or a key of it is wrong.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        file.write_text(compose(name), encoding="utf-8")
        return load_params(file)


def read_params_file() -> str:
    """Return the text of params.yaml; "" if there is none.

    Raises:
        NetchuError: it is not UTF-8.
    """
    try:
        return PARAMS.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise NetchuError(
            f"{PARAMS} is not UTF-8 ({error}); save it as UTF-8, or write it again: "
            "netchu profile laptop --discard"
        ) from None


def edits(params: str) -> dict[str, tuple[Any, Any]]:
    """Return what differs in the text of a params.yaml from its profile as composed.

    Returns:
        Key, with its parts joined by dots -> the values as composed and in `params`; None for a key
        that one of them lacks.

    Raises:
        NetchuError: the text is not YAML, or its profile cannot be composed.
    """
    try:
        values = yaml.safe_load(params)
    except yaml.YAMLError as error:
        raise NetchuError(f"{PARAMS} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or "profile" not in values:
        raise NetchuError(f"{PARAMS} names no profile; write it again: netchu profile laptop")
    composed, found = _flat(yaml.safe_load(compose(str(values["profile"])))), _flat(values)
    return {
        key: (composed.get(key), found.get(key))
        for key in dict.fromkeys([*composed, *found])
        if composed.get(key) != found.get(key)
    }


def switch_profile(name: str, discard: bool = False) -> None:
    """Write params.yaml for a profile.

    Args:
        name: of the profile.
        discard: whether edits of params.yaml are thrown away.

    Raises:
        NetchuError: params.yaml has edits and `discard` is not set, or the profile is unknown or
            wrong.
    """
    text = compose(name)
    parse_config(Params, yaml.safe_load(text), f"conf/profile/{name}.yaml")
    if not discard and PARAMS.is_file() and (changed := edits(read_params_file())):
        raise NetchuError(
            f"{PARAMS} has edits ({', '.join(changed)}); move them to conf/profile, or throw them "
            f"away with 'netchu profile {name} --discard'"
        )
    with new_file(PARAMS) as partial:
        partial.write_text(text, encoding="utf-8")


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict) or not values:
        return {prefix: values}
    return {
        inner: value
        for key, content in values.items()
        for inner, value in _flat(content, f"{prefix}.{key}" if prefix else str(key)).items()
    }
