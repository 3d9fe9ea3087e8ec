"""params.yaml as each profile of conf/ composes it, and dvc.yaml as it unfolds from that."""

import contextlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from netchu.pipeline.profiles import compose

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("laptop", "real", "release", "gpu", "ablation", "smoke")


@cache
def composed(profile):
    """The text of params.yaml after `netchu profile <profile>`."""
    with contextlib.chdir(ROOT):
        return compose(profile)


@dataclass(frozen=True)
class Instance:
    """One stage of dvc.yaml with its templates filled in."""

    stage: str
    key: str
    script: Path
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def name(self):
        return f"{self.stage}@{self.key}" if self.key else self.stage


def instances(profile):
    """Every instance of every stage of dvc.yaml under a profile."""
    values = yaml.safe_load(composed(profile))
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    found = []
    for stage, spec in stages.items():
        items = spec.get("foreach")
        if isinstance(items, str):
            items = values[items.removeprefix("${").removesuffix("}")]
        if isinstance(items, list):
            items = dict.fromkeys(items)
        found += [
            _fill(stage, key, spec.get("do", spec), values["profile"], item)
            for key, item in ({"": {}} if items is None else items).items()
        ]
    return found


def _fill(stage, key, spec, profile, item):
    def fill(template):
        return re.sub(r"\$\{([\w.]+)\}", lambda found: known[found[1]], template)

    known = {"key": key, "item": key, "profile": profile} | {
        f"item.{name}": value for name, value in (item or {}).items() if isinstance(value, str)
    }
    script = ROOT / fill(spec["cmd"]).split()[2]
    outs = [next(iter(o)) if isinstance(o, dict) else o
            for o in (*spec.get("outs", ()), *spec.get("metrics", ()))]  # fmt: skip
    return Instance(
        stage, key, script, *(tuple(map(fill, part)) for part in (
            spec["deps"], spec.get("params", ()), outs))
    )  # fmt: skip
