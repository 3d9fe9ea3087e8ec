"""dvc.yaml in each profile, the stage scripts, and what the repository may hold."""

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from compositions import PROFILES, ROOT, composed, instances
from netchu.core.params import Params, parse_config

STAGES = sorted((ROOT / "stages").glob("*.py"))
MODELLING = ("pretrain", "finetune", "evaluate")
every_profile = pytest.mark.parametrize("profile", PROFILES)


@every_profile
def test_declared_params_are_there(profile):
    values = yaml.safe_load(composed(profile))
    for instance in instances(profile):
        for path in instance.params:
            inner = values
            for part in path.split("."):
                # `report` may be left to its default
                assert part in inner or path == "report", f"{instance.name}: {path}"
                inner = inner.get(part, {})


def test_each_stage_declares_the_params_that_it_reads():
    compute = {"compute.threads", "compute.isa"}
    training = {"seed", "trainer", *compute}
    wanted = {
        "code": set(),
        "selection": {"sources", "synthetic", "datasets", "systems", "evaluate.datasets",
                      "baselines"},
        "download": {"sources.KEY"},
        "synthesize": {"seed", "synthetic.KEY"},
        "preprocess": {"seed", "datasets.KEY"},
        "pretrain": {*training, "systems.KEY.model", "systems.KEY.pretrain"},
        "finetune": {*training, "systems.KEY.finetune"},
        "evaluate": {"seed", *compute, "trainer.accelerator", "evaluate"},
        "export": {"seed", *compute, "evaluate"},
        "language": {"seed"},
        "baselines": {"seed", *compute, "evaluate", "baselines.KEY"},
        "report": {"seed", "profile", "synthetic", "datasets", "evaluate", "report", "systems",
                   "baselines"},
    }  # fmt: skip
    for instance in instances("real"):
        keyed = instance.key and instance.stage != "selection"
        names = {
            re.sub(rf"\b{instance.key}\b", "KEY", path) if keyed else path
            for path in instance.params
        }
        assert names == wanted[instance.stage], instance.name


@every_profile
def test_each_input_is_made_by_a_stage_and_no_output_twice(profile):
    made = [out for instance in instances(profile) for out in instance.outs]
    assert len(set(made)) == len(made)
    for instance in instances(profile):
        for dep in instance.deps:
            if dep.startswith(("data/", "models/", "fingerprints/")):
                assert any(
                    Path(out).is_relative_to(dep) or Path(dep).is_relative_to(out) for out in made
                ), dep


@every_profile
def test_profiles_share_no_output_but_the_fingerprints_of_code(profile):
    for instance in instances(profile):
        if instance.stage == "code":
            continue
        assert all(f"/{profile}/" in out for out in instance.outs), instance.name


@every_profile
def test_there_is_an_instance_for_each_system(profile):
    for stage in MODELLING:
        keys = [i.key for i in instances(profile) if i.stage == stage]
        assert keys == list(yaml.safe_load(composed(profile))["systems"])


def test_a_parameter_of_one_system_changes_its_own_stages_only():
    for instance in instances("real"):
        named = [path for path in instance.params if path.startswith("systems.")]
        assert all(path.split(".")[1] == instance.key for path in named)
        assert "systems" not in instance.params or instance.stage in ("report", "selection")


@pytest.mark.parametrize("script", STAGES, ids=lambda path: path.stem)
def test_a_stage_script_explains_itself(script):
    output = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert output.returncode == 0, output.stderr
    assert "usage:" in output.stdout
    doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert doc.split()[0] in output.stdout


def test_every_script_is_a_stage_of_dvc_yaml():
    assert {instance.script for instance in instances("real")} == set(STAGES)


@cache
def kept():
    """What git holds, or would with the next commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    files = [ROOT / name for name in names.split("\0") if name]
    if not files:
        pytest.skip("not a git working tree")
    return [path for path in files if path.is_file()]


def hosts():
    """Package registries: the public ones, and the one that this machine is set up with."""
    public = ["pypi" + ".org", "python" + "hosted.org", "npmjs" + ".org", "npmjs" + ".com",
              "yarnpkg" + ".com"]  # fmt: skip
    settings = [os.environ.get(name, "") for name in (
        "UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "NPM_CONFIG_REGISTRY",
        "npm_config_registry")]  # fmt: skip
    own = [found[1] for url in settings if (found := re.match(r"\w+://(?:[^@/]*@)?([^/:]+)", url))]
    return {host for host in (*public, *own) if "." in host}


def test_no_file_names_a_registry_or_a_place_of_one_machine():
    unwanted = [*hosts(), "/" + "work/", "/" + "root/"]
    named = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in kept()
        for word in unwanted
        if word.encode() in path.read_bytes()
    ]
    assert named == []


def test_no_research_data_is_kept():
    # The samples of the web page are drawn from fonts.
    allowed = {".png": ("reports/", "docs/"), ".jpg": ("src/netchu/serve/samples/",)}
    pictures = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".bmp"}
    data = {".inkml", ".tar", ".xz", ".gz", ".zip", ".parquet", ".npy", ".pkl", ".safetensors"}
    for path in kept():
        name = path.relative_to(ROOT).as_posix()
        weights = name == "src/netchu/shipped/model.safetensors"
        assert path.suffix not in data or weights, name
        if path.suffix in pictures:
            assert name.startswith(allowed.get(path.suffix, ())), name
        assert not name.startswith(("data/", "models/", "mlartifacts/")), name
        assert path.stat().st_size < 5e6, name


KEYS_OF_TEXTS = {"profile", "main", "note", "hub_note", "version", "why", "lines_hash", "not_run"}
"""Keys of a report's metrics.json that hold texts; all others hold numbers."""


def keys_of_texts(value, key=""):
    """The keys under which a JSON value holds texts."""
    if isinstance(value, dict):
        return set().union(*(keys_of_texts(inner, name) for name, inner in value.items()))
    if isinstance(value, list):
        return set().union(*(keys_of_texts(inner, key) for inner in value))
    return {key} if isinstance(value, str) else set()


@pytest.mark.parametrize("folder", sorted(p.parent for p in ROOT.glob("reports/*/metrics.json")),
                         ids=lambda folder: folder.name)  # fmt: skip
def test_no_label_of_research_data_stands_in_a_report(folder):
    """Metrics hold figures; pages show and list lines of synthetic datasets only."""
    params = parse_config(Params, yaml.safe_load(composed(folder.name)), folder.name)
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert keys_of_texts(content) <= KEYS_OF_TEXTS
    for reasons in (r for group in content["skipped"].values() for r in group.values()):
        assert not [reason for reason in reasons if re.search(r"['\"“«]\w", reason)]
    page = (folder / "report.html").read_text(encoding="utf-8")
    shown = re.findall(r'<div class="truth" lang="vi"><small>(.*?)</small>', page)
    assert bool(shown) == bool(params.report.gallery)
    groups = re.findall(r"<summary>(data: |training of )(\S+): \d+</summary>(.*?)</details>", page,
                        re.DOTALL)  # fmt: skip
    listed = {(kind, name) for kind, name, body in groups if body.count("<ul>") > 1}
    data = {name for kind, name in listed if kind == "data: "} | set(shown)
    for system in {name for kind, name in listed if kind != "data: "}:
        settings = params.system(system)
        phases = [*settings.pretrain.values(), *settings.finetune.values()]
        data |= {dataset for phase in phases for dataset in phase.datasets}
    assert all(params.is_fully_synthetic(dataset) for dataset in data)
