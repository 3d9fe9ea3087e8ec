"""What DVC runs again after an edit: the project's own dvc.yaml, with outputs that are stand-ins.

The stages `code` and `selection` are real; of the others DVC only says whether they would run.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from compositions import ROOT, composed, instances
from netchu.models import NETWORKS

COMPUTED = ["code", "selection@raw", "selection@lines"]


@pytest.fixture(scope="module", autouse=True)
def own_code():
    """Stage scripts find this environment's Python, and the package of the project they lie in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("PYTHONPATH", "src")
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        yield


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The project, laptop profile, as if everything had been built."""
    folder = tmp_path_factory.mktemp("built")
    for name in ("src/netchu", "stages"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "shipped")
        )
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copy(ROOT / ".dvcignore", folder)
    (folder / "params.yaml").write_text(composed("laptop"), encoding="utf-8")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    for instance in instances("laptop"):
        for out in map(folder.joinpath, instance.outs):
            if out.suffix:
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text(instance.name)
            else:
                out.mkdir(parents=True, exist_ok=True)
                (out / "file").write_text(instance.name)
    for stage, *arguments in (["code"], ["selection", "raw"], ["selection", "lines"]):
        run([sys.executable, f"stages/{stage}.py", *arguments], folder)
    with contextlib.chdir(folder), Repo() as repo:
        repo.commit(force=True)
    assert stale(folder) == set()
    return folder


@pytest.fixture
def project(built, tmp_path):
    return shutil.copytree(built, tmp_path / "project")


def stale(folder):
    """The stages that `dvc repro` would run, after those that compute dependencies have run."""
    with contextlib.chdir(folder):
        with Repo() as repo:
            repo.reproduce(COMPUTED, single_item=True)
        with Repo() as repo:
            return {stage.addressing for stage in repo.reproduce(dry=True)}


def edit(folder, name, text="\n# A comment.\n"):
    path = folder / name
    assert path.is_file(), f"{name} is not here, so nothing would be edited"
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def change_params(folder, change):
    path = folder / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def of_system(system):
    own = {f"{stage}@{system}" for stage in ("pretrain", "finetune", "evaluate")}
    return own | ({"export@netchu_small"} if system == "netchu_small" else set())


def slow_after(number, values):
    """Parameters of a test, of which those after the first `number` run with the slow tests."""
    marks = [()] * number + [pytest.mark.slow] * (len(values) - number)
    return [pytest.param(value, marks=mark) for value, mark in zip(values, marks, strict=True)]


@pytest.mark.parametrize("system", slow_after(2, list(NETWORKS)))
def test_a_comment_in_a_network_runs_its_systems_stages_only(project, system):
    edit(project, f"src/netchu/models/networks/{system}.py")
    assert stale(project) == of_system(system)


@pytest.mark.parametrize(
    ("of", "new"),
    [
        ("models/networks/trocr.py", "models/networks/mine.py"),
        ("data/fetch/truyen_kieu.py", "data/fetch/mine.py"),
    ],
)
def test_a_new_network_or_source_makes_nothing_stale(project, of, new):
    package = project / "src/netchu"
    (package / new).write_bytes((package / of).read_bytes())
    assert stale(project) == set()


def test_an_edit_of_text_normalisation_downloads_nothing(project):
    edit(project, "src/netchu/core/text.py")
    found = stale(project)
    assert not {stage for stage in found if stage.startswith("download")}
    assert "preprocess@short" in found and "pretrain@crnn_vgg" in found


def test_an_edit_of_one_sources_fetching_downloads_that_source_only(project):
    edit(project, "src/netchu/data/fetch/fonts/__init__.py")
    assert stale(project) == {"download@fonts"}


def test_a_line_more_in_mlflow_trains_nothing(project):
    edit(project, "src/netchu/tracking/store.py")
    assert stale(project) == set()


def test_a_template_of_the_report_writes_the_report_only(project):
    edit(project, "src/netchu/report/report.css", "/* A comment. */\n")
    assert stale(project) == {"report"}


def test_a_new_dataset_trains_nothing(project):
    def add(values):
        values["datasets"]["mine"] = values["datasets"]["short"] | {"input": "mine"}

    change_params(project, add)
    (project / "mine").mkdir()
    (project / "mine" / "file").touch()
    # As if the new dataset's table had been written, so that `selection` sees it.
    lines = project / "data" / "laptop" / "lines" / "mine"
    lines.mkdir()
    (lines / "file").touch()
    assert stale(project) == {"preprocess@mine", "report"}


def test_another_count_of_a_dataset_that_no_system_reads_trains_nothing(project):
    def add(values):
        values["synthetic"]["unread"] = dict(values["synthetic"]["short"])

    change_params(project, add)
    table = project / "data" / "laptop" / "synthetic" / "unread"
    table.mkdir()
    (table / "file").touch()
    assert stale(project) == {"synthesize@unread", "report"}
    change_params(project, lambda values: values["synthetic"]["unread"].update(count=7))
    assert stale(project) == {"synthesize@unread", "report"}


def test_other_lines_of_a_dataset_run_the_systems_that_read_it(project):
    read = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["systems"]
    users = {
        f"{stage}@{system}"
        for system, values in read.items()
        for stage in ("pretrain", "finetune")
        if any("syllable" in phase["datasets"] for phase in values[stage].values())
    }
    (project / "data" / "laptop" / "lines" / "syllable" / "file").write_text("other")
    assert users
    assert stale(project) == users | {"preprocess@syllable", "report"}


def test_more_workers_train_nothing(project):
    change_params(project, lambda values: values["compute"].update(workers=4))
    assert stale(project) == set()


def test_other_threads_train_again(project):
    change_params(project, lambda values: values["compute"].update(threads=2))
    assert {"pretrain@crnn_vgg", "evaluate@trocr"} <= stale(project)


def make_stale(folder):
    """Return the exit code of `make stale` and what it prints."""
    shutil.copy(ROOT / "Makefile", folder)
    command = ["make", "--assume-old=env", "stale"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def cloned(project):
    """The project without what git does not hold, as in a fresh clone."""
    for name in ("data", "models"):
        shutil.rmtree(project / name)
    return project


@pytest.mark.parametrize("profile", ["laptop", "gpu"])
def test_a_plan_needs_no_data(cloned, profile):
    shutil.copytree(ROOT / "conf", cloned / "conf")
    shutil.copy(ROOT / ".dvc" / "config", cloned / ".dvc")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        run([*git, *command], cloned)
    command = [sys.executable, "-m", "netchu", "plan"]
    run([sys.executable, "-m", "netchu", "profile", profile], cloned)
    output = run(command, cloned)
    planned = set(re.findall(r"Running stage '([^']+)'", output))
    assert {"pretrain@trocr", "report"} <= planned
    assert ("download@kalapa" in planned) == (profile == "gpu")


def test_make_stale_passes_in_a_fresh_clone_of_a_built_project(cloned):
    code, output = make_stale(cloned)
    assert code == 0, output


@pytest.mark.parametrize(
    "name",
    slow_after(2, [
        "src/netchu/evaluation/metrics/rates.py",  # evaluate
        "src/netchu/report/report.css",  # report
        "stages/evaluate.py", "src/netchu/core/text.py",
        "src/netchu/pipeline/code.py",  # code
        "src/netchu/pipeline/selection.py",  # selection
        "src/netchu/data/fetch/fonts/__init__.py",  # download
        "src/netchu/synthesis/paper.py",  # synthesize
        "src/netchu/data/preprocessing.py",  # preprocess
        "src/netchu/models/networks/trocr.py",  # pretrain
        "src/netchu/data/batches.py",  # finetune
        "src/netchu/release/calibration.py",  # export
    ]),
)  # fmt: skip
def test_make_stale_fails_after_an_edit(cloned, name):
    edit(cloned, name, "\n")
    code, output = make_stale(cloned)
    assert code and "Running stage 'code'" in output


def test_make_stale_fails_after_another_seed(cloned):
    change_params(cloned, lambda values: values.update(seed=1))
    code, output = make_stale(cloned)
    assert code and "pretrain@crnn_vgg" in output


def test_make_stale_fails_where_dvc_fails(cloned):
    edit(cloned, "dvc.yaml", "stages: [\n")
    code, output = make_stale(cloned)
    assert code and "dvc.yaml" in output
