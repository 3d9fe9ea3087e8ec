import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

import tracked_project
from netchu.core.errors import NetchuError
from netchu.tracking import runs


@pytest.fixture
def project(project_folder):
    params = tracked_project.params(profile="runs")
    tracked_project.write_system(params, "aa", 10)
    return params


def training(params):
    return runs.training_run(
        params, tracked_project.SYSTEM, "finetune", tracked_project.home(params) / "finetune"
    )


def test_a_training_run_has_the_origin_of_its_weights(project):
    run = training(project)
    assert run.name == "netchu_small finetune"
    expected = {"system": "netchu_small", "network": "netchu_small", "stage": "finetune",
              "profile": "runs", "weights": "aa", "data": "drawn",
              "trained_on": "drawn"}  # fmt: skip
    assert expected.items() <= run.tags.items()
    assert run.datasets == {"drawn": "cd" * 32}
    assert run.split == "train"
    assert run.params["finetune"]["0"]["batch_size"] == 2
    assert {f.name for f in run.files} == {"history.csv", "model.json", "finetune.cost.json"}


def test_a_training_run_has_time_size_and_curves(project):
    run = training(project)
    assert run.seconds == run.metrics["train_seconds"] == 61.5
    assert run.metrics["lines_per_second"] == pytest.approx(20.0)
    assert run.metrics["size_mb"] == 2.0
    assert run.metrics["best_val_cer"] == 0.9
    curve = [(step, value) for name, step, value in run.curves if name == "train_loss"]
    assert curve == [(5, 4.0), (10, 3.0), (15, 2.0), (20, 1.5)]
    assert [step for name, step, _ in run.curves if name == "val_cer"] == [10, 15, 20]


@pytest.mark.parametrize(
    ("phases", "steps", "together"),
    [
        ([0, 1, 1], [3, 3, 6], [3, 6, 9]),  # as long as the epoch of the phase before
        ([0, 0, 1, 2], [40, 80, 250, 10], [40, 80, 330, 340]),
    ],
)
def test_steps_of_a_phase_follow_those_of_the_phases_before(phases, steps, together):
    history = pd.DataFrame({"phase": phases, "step": steps, "train_loss": 2.0, "val_loss": 3.0,
                            "val_cer": [float("nan")] + [0.5] * (len(steps) - 1),
                            "learning_rate": 1e-3})  # fmt: skip
    curves = runs._curves(history)
    for name, points in (("train_loss", together), ("val_cer", together[1:])):
        assert [step for curve, step, _ in curves if curve == name] == points
    assert {curve: value for curve, _, value in curves} == {
        "train_loss": 2, "val_loss": 3, "val_cer": 0.5, "learning_rate": 1e-3,
    }  # fmt: skip


def test_a_stage_without_phases_is_a_run(project):
    # A checkpoint that is only fine-tuned has an empty pretraining.
    folder = tracked_project.home(project) / "finetune"
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    card = card | {"training": [], "provenance": {}}
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")
    header = (folder / "history.csv").read_text(encoding="utf-8").splitlines()[0]
    (folder / "history.csv").write_text(header + "\n", encoding="utf-8")
    folder.with_name("finetune.cost.json").unlink()
    run = training(project)
    assert run.metrics == {"size_mb": 2.0}
    assert (run.curves, run.datasets, run.seconds) == ([], {}, 0.0)


def test_a_missing_or_damaged_file_is_named(project):
    card = tracked_project.home(project) / "finetune" / "model.json"
    card.write_text("{")
    with pytest.raises(NetchuError, match=r"finetune/model\.json is damaged"):
        training(project)
    card.unlink()
    with pytest.raises(NetchuError, match=r"finetune/model\.json is not here; run 'dvc repro'"):
        training(project)


def test_only_finite_numbers_are_kept():
    values = {"cer": 0.5, "lines": 3, "nan": float("nan"), "right": True, "name": "x", "no": None}
    assert runs.finite_numbers(values) == {"cer": 0.5, "lines": 3.0}


def git(*arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


def test_the_commit_is_logged_with_whether_the_code_has_changed(project):
    assert training(project).tags["git_commit"] == "unknown"
    Path("src").mkdir()
    Path("src/code.py").write_text("a = 1\n")
    git("init")
    git("add", "src")
    git("commit", "-m", "first")
    clean = training(project).tags
    assert clean["mlflow.source.git.commit"] == clean["git_commit"]
    assert len(clean["git_commit"]) == 40
    Path("src/code.py").write_text("a = 2\n")
    changed = training(project).tags
    assert changed["git_commit"] == f"{clean['git_commit']} and changes"
    assert "mlflow.source.git.commit" not in changed


def test_the_report_run_has_the_page_and_the_leaderboard(project):
    with pytest.raises(NetchuError, match="reports/runs holds no report; run 'dvc repro'"):
        runs.report_run(project)
    tracked_project.write_report(project.report_folder)
    run = runs.report_run(project)
    assert run.note.startswith("| system | CER |")
    assert [file.name for file in run.files] == ["report.html", "leaderboard.md"]
    assert run.tags["stage"] == "report"
