"""A stage that trains with two processes under Lightning's DDP is one run in MLflow."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient

import small_project
import tracked_project
from compositions import ROOT
from netchu.data.line_table import write_table
from netchu.models.model_card import read_card
from tracked_project import SYSTEM

PHASE = small_project.PHASE | {"steps_per_epoch": 10, "batch_size": 4}
PHASES = [PHASE | {"epochs": 1}, PHASE | {"epochs": 2}]


@pytest.mark.slow
def test_two_processes_are_one_run_with_the_values_of_the_stage(project_folder):
    system = {
        "model": small_project.MODEL, "pretrain": small_project.numbered(*PHASES), "finetune": {},
    }  # fmt: skip
    params = small_project.params(
        systems={SYSTEM: system}, trainer={"strategy": "ddp", "devices": 2}
    )
    Path("params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(asdict(params)))))
    # Four lines of each text, so that every batch of one width divides by two.
    lines = [
        line for split in ("train", "val") for line in small_project.drawn_lines(split, 32)
    ]  # fmt: skip
    write_table(lines, params.lines / "drawn")

    client = MlflowClient(tracked_project.put_store(project_folder))
    own = {"MLFLOW_TRACKING_URI": client.tracking_uri}
    inherited = {k: v for k, v in os.environ.items() if "RANK" not in k and k != "WORLD_SIZE"}
    with Path("log").open("w") as log:
        stage = subprocess.Popen(
            [sys.executable, ROOT / "stages" / "pretrain.py", SYSTEM],
            stdout=log, stderr=log, env=inherited | own,
        )  # fmt: skip
    seen = set()
    try:
        while stage.poll() is None:
            seen |= {(run.info.run_id, run.info.status) for run in runs(client)}
            time.sleep(0.5)
    finally:
        stage.kill()
    assert stage.returncode == 0, Path("log").read_text()

    (run,) = runs(client)
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"{SYSTEM} pretrain")
    assert seen - {(run.info.run_id, "FINISHED")} == {(run.info.run_id, "RUNNING")}

    def points(name):
        found = client.get_metric_history(run.info.run_id, name)
        return sorted((point.step, point.value) for point in found)

    folder = params.model_folder(SYSTEM, "pretrain")
    history = pd.read_csv(folder / "history.csv")
    for name in ("val_cer", "train_loss", "val_loss"):
        steps, values = zip(*points(name), strict=True)
        assert steps == (10, 20, 30)
        assert values == pytest.approx(history[name], rel=1e-4), name  # the file is rounded
    assert [step for step, _ in points("step/loss")] == [10, 20, 30]
    assert run.data.tags["weights"] == read_card(folder)["weights"]


def runs(client):
    """The runs of all profiles."""
    experiments = client.search_experiments(filter_string="name LIKE 'netchu-%'")
    return [run for found in experiments for run in client.search_runs([found.experiment_id])]
