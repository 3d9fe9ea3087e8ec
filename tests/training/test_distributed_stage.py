"""A stage in two processes, started by torchrun and as Slurm starts them."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import jiwer
import pandas as pd
import psutil
import pytest
import yaml

import small_project
import tracked_project
from compositions import ROOT
from netchu.data.line_table import read_table, write_table
from netchu.models.model_folder import load_model, weights_hash
from netchu.models.transcription import read_lines

SYSTEM = "netchu_small"
PHASE = small_project.PHASE | {
    "steps_per_epoch": 40, "batch_size": 4, "epochs": 3, "learning_rate": 0.003,
}  # fmt: skip

# What srun does: two tasks, each with its number.
SRUN = """
import os, subprocess, sys
slurm = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "training", "SLURM_NTASKS": "2",
         "SLURM_NTASKS_PER_NODE": "2", "SLURM_NODEID": "0", "SLURM_NODELIST": "127.0.0.1",
         "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[1]}
tasks = [
    subprocess.Popen(
        sys.argv[2:], env=os.environ | slurm | {"SLURM_PROCID": n, "SLURM_LOCALID": n}
    )
    for n in "01"
]
sys.exit(max(task.wait() for task in tasks))
"""


@pytest.fixture
def project(project_folder):
    """A project whose system trains in two processes; 7 batches of validation lines."""
    system = {
        "model": small_project.MODEL, "pretrain": small_project.numbered(PHASE), "finetune": {},
    }  # fmt: skip
    params = small_project.params(
        systems={SYSTEM: system}, trainer={"strategy": "ddp", "devices": 2}
    )
    Path("params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(asdict(params)))))
    lines = [*small_project.drawn_lines("train", 32), *small_project.drawn_lines("val", 13)]
    write_table(lines, params.lines / "drawn")
    Path("srun.py").write_text(SRUN)
    tracked_project.put_store(project_folder)
    return params


def start(**environment):
    inherited = {
        name: value for name, value in os.environ.items()
        if "RANK" not in name and name != "WORLD_SIZE"
    }  # fmt: skip
    own = {"MLFLOW_TRACKING_URI": f"sqlite:///{Path('mlflow.db').absolute()}"}
    return subprocess.Popen(
        [sys.executable, ROOT / "stages" / "pretrain.py", SYSTEM],
        env=inherited | own | environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def trained(params, **environment):
    process = start(**environment)
    _, printed = process.communicate(timeout=500)
    assert process.returncode == 0, printed
    return params.model_folder(SYSTEM, "pretrain")


@pytest.mark.slow
def test_shared_validation_gives_the_figure_of_one_process_under_torchrun_and_slurm(project):
    folder = trained(project)
    best = pd.read_csv(folder / "history.csv")["val_cer"].min()
    lines = read_table(project.lines / "drawn")
    val = lines[lines["split"] == "val"].reset_index(drop=True)
    readings = [reading.text for reading in read_lines(load_model(folder), val, 4)]
    assert best == pytest.approx(jiwer.cer(list(val["text"]), readings), abs=1e-6)
    weights = weights_hash(folder)
    again = trained(project, NETCHU_LAUNCHER=f"{sys.executable} srun.py 29517 {sys.executable}")
    assert weights_hash(again) == weights


@pytest.mark.slow
def test_a_killed_rank_ends_the_stage_with_one_line_and_the_next_run_resumes(project):
    weights = weights_hash(trained(project))
    process = start()
    while not (saved := list(Path(".checkpoints").rglob("last.ckpt"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    tasks = [
        task for task in psutil.Process(process.pid).children(recursive=True)
        if task.environ().get("RANK") == "1"
    ]  # fmt: skip
    tasks[0].kill()
    _, printed = process.communicate(timeout=200)
    assert process.returncode == 2
    assert printed.splitlines()[-1].endswith("the next run resumes from the last checkpoint")
    assert not any(task.is_running() for task in tasks)
    assert saved[0].exists()
    assert weights_hash(trained(project)) == weights
