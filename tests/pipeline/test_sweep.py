"""DVC as in docs/training.md: sweeps and a remote, with the project's dvc.yaml and quick stages."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from compositions import ROOT, composed, instances

KEY = "systems.crnn_vgg.finetune.phase1.learning_rate"
STAND_IN = """
import json, sys
from pathlib import Path
import yaml

name = "@".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
rate = params["systems"]["crnn_vgg"]["finetune"]["phase1"]["learning_rate"]
for out in map(Path, json.loads(Path("stages/outs.json").read_text())[name]):
    text = str(rate) if name == "finetune@crnn_vgg" else name
    if name == "evaluate@crnn_vgg":
        text = Path("models/laptop/crnn_vgg/finetune/file").read_text()
    if out.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    else:
        out.mkdir(parents=True, exist_ok=True)
        (out / "file").write_text(text)
    if out.name == "summary":
        (out / "file").unlink()
        for system in params["systems"]:
            read = Path(f"models/laptop/{system}/evaluation/file").read_text()
            cer = 1000 * float(read) if system == "crnn_vgg" else 50.0
            # Times differ from run to run.
            times = {"p50_ms": 5 + cer, "train_s": 60 + cer}
            values = {"cer": {"address": cer}, "mb": 1.5, **times}
            (out / f"{system}.json").write_text(json.dumps(values))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project in a git repository of its own, built by stages that write stand-ins."""
    folder = tmp_path_factory.mktemp("swept") / "project"
    for name in ("src/netchu", "stages", "conf"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "shipped")
        )
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    profile = small(yaml.safe_load(composed("laptop")))
    text = "# @package _global_\n" + yaml.safe_dump(profile, sort_keys=False)
    (folder / "conf/profile/laptop.yaml").write_text(text, encoding="utf-8")
    for script in (folder / "stages").glob("*.py"):
        if script.stem not in ("code", "selection"):
            script.write_text(STAND_IN)
    outs = {instance.name: instance.outs for instance in instances("laptop")}
    (folder / "stages" / "outs.json").write_text(json.dumps(outs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("PYTHONPATH", "src")
        for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
            patch.setenv(name, "a")
        for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
            patch.setenv(name, "a@b")
        run(["git", "init", "-q"], folder)
        run([sys.executable, "-m", "netchu", "profile", "laptop"], folder)
        run(["dvc", "repro", "-q"], folder)
        run(["git", "add", "-A"], folder)
        run(["git", "commit", "-q", "-m", "built"], folder)
        yield folder


def small(profile):
    """A profile with two systems and one dataset: every stage costs DVC a second."""
    for part, kept in {
        "systems": ("netchu_small", "crnn_vgg"), "exports": (), "synthetic": ("address",),
        "datasets": ("address",),
    }.items():  # fmt: skip
        profile[part] = {name: profile[part][name] for name in kept}
    for system in profile["systems"].values():
        for phase in (*system["pretrain"].values(), *system["finetune"].values()):
            phase["datasets"] = ["address"]
    return profile


def run(command, folder, code=0):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def recipe():
    """The commands of docs/training.md for a sweep, without comments: queue, run, show."""
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return [shlex.split(line) for line in lines if (line.startswith("dvc exp") and KEY in line)
            or line.startswith(("dvc exp run --run-all", "dvc exp show"))]  # fmt: skip


@pytest.mark.slow
def test_the_documented_sweep_fits_a_screen(project, monkeypatch):
    queue, start, show = recipe()
    assert queue[-1] == f"{KEY}=range(0.0005,0.0051,0.0005)"
    run([*queue[:-1], f"{KEY}=range(0.002,0.0041,0.002)"], project)
    run(start, project)
    monkeypatch.setenv("COLUMNS", "200")
    table = run(show, project)
    assert max(map(len, table.splitlines())) <= 200, table
    assert table.count("Success") == 2, table
    for rate, cer in {0.002: 2, 0.004: 4}.items():
        assert re.search(rf"Success .* {cer} +{rate} *$", table, re.MULTILINE), table


@pytest.mark.slow
def test_edits_of_params_and_the_profile_survive_an_experiment(project):
    text = (project / "params.yaml").read_text(encoding="utf-8")
    edited = text.replace("hidden: 128", "hidden: 64", 1)
    assert edited != text
    (project / "params.yaml").write_text(edited, encoding="utf-8")
    try:
        run(["dvc", "exp", "run", "--name", "edited", "-S", f"{KEY}=0.003"], project)
        kept = (project / "params.yaml").read_text(encoding="utf-8")
        assert "hidden: 64" in kept and "learning_rate: 0.003" in kept
        assert kept.startswith("# Profile laptop, composed from conf/")
        listed = run([sys.executable, "-m", "netchu", "profile"], project)
        assert "profile laptop, 2 keys edited" in listed
        assert f"  {KEY}: 0.001 -> 0.003" in listed
    finally:
        run(["git", "checkout", "-q", "."], project)
        run(["dvc", "checkout", "-q"], project)


@pytest.mark.slow
def test_a_clone_pulls_what_was_pushed_and_has_nothing_to_run(project, tmp_path):
    run(["dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage")], project)
    run(["git", "commit", "-q", "-a", "-m", "a remote"], project)
    run(["dvc", "push", "-q"], project)
    clone = tmp_path / "clone"
    run(["git", "clone", "-q", str(project), str(clone)], project)
    assert not (clone / "models").exists()
    run(["dvc", "pull", "-q"], clone)
    output = run(["dvc", "repro"], clone)
    assert "Running stage" not in output and "up to date" in output, output
    weights = Path("models/laptop/crnn_vgg/finetune/file")
    assert (clone / weights).read_bytes() == (project / weights).read_bytes()
    assert run(["git", "status", "--short"], clone) == ""
