"""dvc.yaml says what the stages really import and read, and the house keeps its own rules."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from compositions import PROFILES, ROOT, composed, instances

from netchu.core.fingerprints import import_closure
from netchu.models import NETWORKS

SOURCE = ROOT / "src" / "netchu"
STAGES = sorted((ROOT / "stages").glob("*.py"))
MODELLING = ("pretrain", "finetune", "evaluate")
every_profile = pytest.mark.parametrize("profile", PROFILES)


def entries(instance, profile):
    """The files from which an instance's imports start: its script and what it loads by name."""
    if instance.stage in MODELLING:
        network = yaml.safe_load(composed(profile))["systems"][instance.key]["network"]
        return [instance.script, SOURCE / "models" / f"{network}.py"]
    if instance.stage == "export":
        network = yaml.safe_load(composed(profile))["systems"][instance.key]["network"]
        return [instance.script, SOURCE / "models" / f"{network}.py"]
    if instance.stage == "download":
        return [instance.script, SOURCE / "data" / "sources" / f"{instance.key}.py"]
    if instance.stage == "synthesize":  # which copies and borrows from any dataset
        return [instance.script, *sorted((SOURCE / "data" / "sources").glob("*.py"))]
    if instance.stage == "preprocess":
        source = yaml.safe_load(composed(profile))["datasets"][instance.key]["source"]
        return [instance.script, SOURCE / "data" / "sources" / f"{source}.py"]
    return [instance.script]


@cache
def closure(files):
    return {path.relative_to(ROOT).as_posix() for path in import_closure(files)}


def imported(instance, profile):
    return closure(tuple(entries(instance, profile)))


def declared(instance):
    """The code that an instance depends on; a folder stands for the files in it."""
    found = set()
    for dep in instance.deps:
        if dep.startswith(("src/", "stages/")):
            path = ROOT / dep
            assert path.exists(), f"{instance.name} depends on {dep}, which is not there"
            files = path.rglob("*") if path.is_dir() else [path]
            found |= {
                f.relative_to(ROOT).as_posix()
                for f in files if f.is_file() and "__pycache__" not in f.parts
            }  # fmt: skip
    return found


@every_profile
def test_every_import_is_declared(profile):
    lacking = {
        instance.name: sorted(missing)
        for instance in instances(profile)
        if (missing := imported(instance, profile) - declared(instance))
    }
    assert lacking == {}


def test_every_declared_file_is_imported_by_some_instance_of_its_stage():
    used, listed = {}, {}
    for profile in PROFILES:
        for instance in instances(profile):
            used.setdefault(instance.stage, set()).update(imported(instance, profile))
            listed.setdefault(instance.stage, set()).update(
                name for name in declared(instance) if name.endswith(".py")
            )
    assert {stage: sorted(listed[stage] - used[stage]) for stage in listed} == {
        stage: [] for stage in listed
    }


def test_other_declared_files_are_read_by_their_stage():
    """A text, template or lock is named in some Python file that the stage imports."""
    for instance in instances("real"):
        code = "".join((ROOT / name).read_text() for name in imported(instance, "real"))
        for name in declared(instance):
            if not name.endswith(".py") and not (
                name.endswith("npm/package-lock.json") or name.endswith("npm/package.json")
            ):
                assert Path(name).name in code, f"{instance.name}: {name}"


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
    wanted = {
        "download": {"sources.KEY"},
        "synthesize": {"seed", "synthetic.KEY", "datasets"},
        "preprocess": {"seed", "datasets.KEY"},
        "pretrain": {"seed", "compute", "trainer", "systems.KEY.model", "systems.KEY.pretrain"},
        "finetune": {"seed", "compute", "trainer", "systems.KEY.finetune"},
        "evaluate": {"seed", "compute", "evaluate"},
        "export": {"seed", "compute", "evaluate"},
        "language": {"seed", "sources", "datasets"},
        "baselines": {"seed", "compute", "evaluate", "baselines.KEY"},
        "report": {"profile", "evaluate", "report", "systems"},
    }
    for instance in instances("real"):
        names = {re.sub(rf"\b{instance.key}\b", "KEY", p) if instance.key else p
                 for p in instance.params}  # fmt: skip
        assert names >= wanted[instance.stage], instance.name


@every_profile
def test_each_input_is_made_by_a_stage_and_no_output_twice(profile):
    made = [out for instance in instances(profile) for out in instance.outs]
    assert len(set(made)) == len(made)
    for instance in instances(profile):
        for dep in instance.deps:
            if dep.startswith(("data/", "models/")):
                assert any(Path(out).is_relative_to(dep) or dep == out for out in made), dep


@every_profile
def test_profiles_share_no_output(profile):
    for instance in instances(profile):
        assert all(f"/{profile}/" in out for out in instance.outs), instance.name


@every_profile
def test_there_is_an_instance_for_each_system(profile):
    for stage in MODELLING:
        keys = [i.key for i in instances(profile) if i.stage == stage]
        assert keys == list(yaml.safe_load(composed(profile))["systems"])
        assert set(keys) == set(NETWORKS) or profile == "ablation"


@pytest.mark.parametrize("system", NETWORKS)
def test_editing_a_systems_file_changes_its_own_stages_only(system):
    file = f"src/netchu/models/{system}.py"
    changed = {instance.name for instance in instances("real") if file in declared(instance)}
    exported = {"export@netchu_small"} if system == "netchu_small" else set()
    assert changed == {f"{stage}@{system}" for stage in MODELLING} | exported


def test_a_parameter_of_one_system_changes_its_own_stages_only():
    for instance in instances("real"):
        named = [path for path in instance.params if path.startswith("systems.")]
        assert all(path.split(".")[1] == instance.key for path in named)
        assert "systems" not in instance.params or instance.stage == "report"


@pytest.mark.parametrize("script", STAGES, ids=lambda path: path.stem)
def test_a_stage_is_a_doorway(script):
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 60
    told = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert told.returncode == 0, told.stderr
    assert "usage:" in told.stdout
    doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert doc.split()[0] in told.stdout


def test_every_script_is_a_stage_of_dvc_yaml():
    assert {instance.script for instance in instances("real")} == set(STAGES)


def importers(module):
    """The files of the package and the stages that import `module`."""
    found = set()
    for path in [*SOURCE.rglob("*.py"), *STAGES]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            if any(name.split(".")[0] == module for name in names):
                found.add(path.name)
    return found


@pytest.mark.parametrize(("module", "home"), [("mlflow", "store.py"), ("unicodedata", "text.py")])
def test_one_room_for_one_purpose(module, home):
    assert importers(module) == {home}


def test_source_files_are_short_and_say_what_they_are():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path.name
        assert ast.get_docstring(ast.parse(text)), path.name


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


def test_no_label_of_research_data_stands_in_a_report():
    """Reports show lines of the gallery's datasets only; metrics hold figures and no texts."""
    for path in ROOT.glob("reports/*/metrics.json"):
        told = path.read_text(encoding="utf-8")
        assert '"text"' not in told
        assert '"reading"' not in told
