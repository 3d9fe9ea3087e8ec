"""A training with two processes under Lightning's DDP is one run in MLflow."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

import small_project
import tracked_project
from netchu.models.model_card import read_card

HERE, SUPPORT = Path(__file__).parent, Path(small_project.__file__).parent
TESTS = [str(folder) for folder in (HERE, HERE.parent, SUPPORT)]
PHASE = small_project.PHASE | {"steps_per_epoch": 10, "batch_size": 4}

# Lightning starts the second process by running this very file again.
SCRIPT = f"""
import sys
sys.path[:0] = {TESTS!r}
import conftest  # one thread, as in the tests
import test_live_ddp
from netchu.tracking.live_run import tracked_training
from netchu.training.stage import train_stage

params = test_live_ddp.settings(strategy="ddp", devices=2)
with tracked_training(params, "netchu_small", "pretrain") as monitor:
    train_stage(params, "netchu_small", "pretrain", monitor)
"""


def settings(**trainer):
    phases = [PHASE | {"epochs": 1}, PHASE | {"epochs": 2}]
    system = {
        "model": small_project.MODEL, "pretrain": small_project.numbered(*phases), "finetune": {},
    }  # fmt: skip
    return small_project.params(systems={"netchu_small": system}, trainer=trainer)


@pytest.mark.slow
def test_two_processes_are_one_run_with_the_values_of_the_stage(project_folder):
    # Four lines of each text, so that every batch of one width divides by two.
    lines = [
        line for split in ("train", "val") for line in small_project.drawn_lines(split, 32)
    ]  # fmt: skip
    small_project.write_table(lines, settings().lines / "drawn", [])
    Path("run.py").write_text(SCRIPT)
    quiet = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    uri = tracked_project.put_store(project_folder)
    ended = subprocess.run(
        [sys.executable, "run.py"], capture_output=True, text=True, timeout=500,
        env=quiet | {"MLFLOW_TRACKING_URI": uri},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]

    client = MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string="name LIKE 'netchu-%'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "netchu_small pretrain")

    def points(name):
        return {p.step: p.value for p in client.get_metric_history(run.info.run_id, name)}

    folder = settings().model_folder("netchu_small", "pretrain")
    history = pd.read_csv(folder / "history.csv")
    for name in ("val_cer", "train_loss", "val_loss"):
        expected = dict(zip([10, 20, 30], history[name], strict=True))
        assert points(name) == pytest.approx(expected, rel=1e-4), name  # the file is rounded
    assert sorted(points("step/loss")) == [10, 20, 30]
    assert run.data.tags["weights"] == read_card(folder)["weights"]
