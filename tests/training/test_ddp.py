"""Two processes under Lightning's DDP learn what a loop without it learns from their lines."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

import small_project
from netchu.data.line_table import write_table
from netchu.imaging.images import decode
from netchu.imaging.preparation import prepare
from netchu.models.model_card import read_card
from netchu.models.model_folder import weights_hash
from netchu.training.stage import build_recogniser
from small_project import PHASE, drawn_lines

HERE, SUPPORT = Path(__file__).parent, Path(small_project.__file__).parent
TESTS = [str(folder) for folder in (HERE, HERE.parent, SUPPORT)]
MODEL = {"height": 32, "width": 0.25, "batch_norm": False, "weights": "none", "hidden": 16,
         "layers": 1}  # fmt: skip
STEPS, LINES, RATE, DECAY, CLIP = 3, 4, 1e-3, 0.5, 0.5
LONG = PHASE | {
    "epochs": 2, "steps_per_epoch": STEPS, "batch_size": LINES, "learning_rate": RATE,
    "weight_decay": DECAY, "clip": CLIP, "schedule": "cosine", "augmentation_strength": [0, 0],
}  # fmt: skip
EPOCHS = (1, 2)
"""Of the two phases; in the first the backbone is frozen."""

# Lightning starts the second process by running this very file again.
SCRIPT = f"""
import json, os, sys
sys.path[:0] = {TESTS!r}
import conftest  # one thread, as in the tests
import test_ddp
from netchu.models.networks.crnn_vgg import CrnnVgg
from netchu.training.stage import train_stage

step, shown = CrnnVgg.training_step, []

def recorded(self, batch, batch_idx):
    shown.append(batch.ids)
    return step(self, batch, batch_idx)

CrnnVgg.training_step = recorded
train_stage(test_ddp.settings(strategy="ddp", devices=2), "crnn_vgg", "pretrain")
with open(f"rank{{os.environ.get('LOCAL_RANK', 0)}}.json", "x") as file:
    json.dump({{"pid": os.getpid(), "shown": shown}}, file)
"""


def settings(**trainer):
    phases = [LONG | {"freeze": "backbone", "epochs": EPOCHS[0]}, LONG | {"epochs": EPOCHS[1]}]
    system = {"model": MODEL, "pretrain": small_project.numbered(*phases), "finetune": {}}
    return small_project.params(systems={"crnn_vgg": system}, trainer=trainer)


def mean_loss(network, lines):
    """CTC loss per character of each line alone, averaged."""
    losses = []
    for line in lines:
        image = torch.from_numpy(prepare(decode(line.image, line.id), network.preprocessing))
        log_probabilities_TV = network(image[None, None])[0].log_softmax(-1)
        target = torch.tensor(network.codec.encode(line.text))
        sizes = torch.tensor(len(log_probabilities_TV)), torch.tensor(len(target))
        loss = F.ctc_loss(log_probabilities_TV, target, *sizes, reduction="sum")
        losses.append(loss / len(target))
    return torch.stack(losses).mean()


def learn(shown, kept):
    """Return the weights after learning the lines `shown` in each step; `kept` epoch of the last.

    AdamW without decay of vectors, a cosine over the steps of a phase, gradients of norm CLIP.
    """
    lines = {line.id: line for line in drawn_lines("train", 32)}
    network = build_recogniser(settings(), "crnn_vgg").train()
    batches = iter(shown)
    weights = {}
    for number, epochs in enumerate(EPOCHS):
        free = [p for name, p in network.named_parameters()
                if number or not name.startswith("backbone")]  # fmt: skip
        optimiser = torch.optim.AdamW(
            [{"params": [p for p in free if p.ndim > 1], "weight_decay": DECAY},
             {"params": [p for p in free if p.ndim == 1], "weight_decay": 0}]
        )  # fmt: skip
        for step in range(epochs * STEPS):
            gradients = torch.autograd.grad(
                mean_loss(network, [lines[i] for i in next(batches)]), free
            )
            norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
            for parameter, gradient in zip(free, gradients, strict=True):
                parameter.grad = gradient * min(1, CLIP / norm)
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1 + math.cos(math.pi * step / (epochs * STEPS))) / 2
            optimiser.step()
            if step + 1 == (kept + 1) * STEPS:
                weights = {k: v.detach().clone() for k, v in network.state_dict().items()}
    return weights


@pytest.mark.slow
def test_two_processes_learn_from_the_lines_of_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Four lines of each text, so that every batch of one width divides by two.
    lines = [line for split in ("train", "val") for line in drawn_lines(split, 32)]
    write_table(lines, settings().lines / "drawn")
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    quiet = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=500, env=quiet
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    first, second = (json.loads(Path(f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["pid"] != second["pid"]
    steps = list(zip(first["shown"], second["shown"], strict=True))
    assert len(steps) == sum(EPOCHS) * STEPS
    assert all(len(a) == len(b) == LINES // 2 and len({*a, *b}) == LINES for a, b in steps)
    assert len({str(steps[start : start + STEPS]) for start in range(0, len(steps), STEPS)}) == 3

    folder = tmp_path / "models/tiny/crnn_vgg/pretrain"
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        "pretrain", "pretrain.cost.json",
    ]  # fmt: skip
    card = read_card(folder)
    assert card["weights"] == weights_hash(folder)
    assert [phase["epochs"] for phase in card["training"]] == list(EPOCHS)
    history = pd.read_csv(folder / "history.csv")
    kept = int(np.argmin(history.loc[history["phase"] == 1, "val_cer"]))
    learnt = load_file(folder / "model.safetensors")
    expected = learn([a + b for a, b in steps], kept)
    assert learnt.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(learnt[name], value, rtol=1e-3, atol=1e-5, msg=name)
    # What one of the processes was shown gives other weights, far beyond the tolerance.
    alone = learn([a for a, _ in steps], kept)
    assert not torch.allclose(alone["head.weight"], learnt["head.weight"], 1e-3, 1e-4)
