"""Two processes under Lightning's DDP learn what one process learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import small_project
from netchu.data.line_table import write_table
from netchu.models.model_card import read_card
from netchu.models.model_folder import weights_hash
from netchu.training.stage import train_stage
from small_project import PHASE, drawn_lines

HERE, SUPPORT = Path(__file__).parent, Path(small_project.__file__).parent
TESTS = [str(folder) for folder in (HERE, HERE.parent, SUPPORT)]
MODEL = {"height": 32, "width": 0.25, "batch_norm": False, "weights": "none", "hidden": 16,
         "layers": 1}  # fmt: skip
LONG = PHASE | {"epochs": 2, "steps_per_epoch": 3, "batch_size": 4, "learning_rate": 1e-3}
TWO = {"strategy": "ddp", "devices": 2}

# Lightning starts the second process by running this very file again.
SCRIPT = f"""
import os, sys
sys.path[:0] = {TESTS!r}
import conftest  # one thread, as in the tests
import test_ddp
from netchu.training.stage import train_stage

train_stage(test_ddp.settings(**test_ddp.TWO), "crnn_vgg", "pretrain")
with open(f"rank{{os.environ.get('LOCAL_RANK', 0)}}.done", "x") as file:
    file.write(str(os.getpid()))
"""


def settings(seed=7, **trainer):
    phases = [LONG | {"freeze": "backbone", "epochs": 1}, LONG]
    system = {
        "model": MODEL,
        "pretrain": small_project.numbered(*phases),
        "finetune": small_project.numbered(*phases),
    }
    return small_project.params(seed=seed, systems={"crnn_vgg": system}, trainer=trainer)


def write_lines(params):
    """Four lines of each text, so that every batch of one width divides by two."""
    lines = [line for split in ("train", "val") for line in drawn_lines(split, 32)]
    write_table(lines, params.lines / "drawn")


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        write_lines(settings())
    script = tmp_path / "two" / "run.py"
    script.write_text(SCRIPT)
    quiet = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, env=quiet
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    pids = {path.name: path.read_text() for path in Path().glob("rank*.done")}
    assert sorted(pids) == ["rank0.done", "rank1.done"]
    assert len(set(pids.values())) == 2
    two = tmp_path / "two" / "models/tiny/crnn_vgg/pretrain"
    assert sorted(p.name for p in two.parent.iterdir()) == ["pretrain", "pretrain.cost.json"]
    monkeypatch.chdir(tmp_path / "one")
    one = tmp_path / "one" / train_stage(settings(), "crnn_vgg", "pretrain")
    assert read_card(two)["weights"] == weights_hash(two)
    first, second = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-3, atol=1e-5, msg=name)
    for folder in (one, two):
        card = json.loads((folder / "model.json").read_text())
        assert [phase["epochs"] for phase in card["training"]] == [1, 2]


@pytest.mark.slow
def test_another_seed_differs_beyond_the_tolerance(tmp_path, monkeypatch):
    """Another seed gives other weights, far beyond the tolerance."""
    weights = []
    for seed in (7, 8):
        (tmp_path / str(seed)).mkdir()
        monkeypatch.chdir(tmp_path / str(seed))
        write_lines(settings())
        folder = train_stage(settings(seed=seed), "crnn_vgg", "pretrain")
        weights.append(load_file(folder / "model.safetensors"))
    assert not torch.allclose(weights[0]["head.weight"], weights[1]["head.weight"], 1e-3, 1e-5)
