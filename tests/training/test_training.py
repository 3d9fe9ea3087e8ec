"""The training of a stage: the same bytes, resumed or not, and its errors."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import small_project
from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder
from netchu.core.fingerprints import PACKAGE, import_closure
from netchu.core.paths import CHECKPOINTS
from netchu.data.line_table import read_skipped, write_table
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, weights_hash
from netchu.models.networks.netchu_small import NetchuSmall
from netchu.training import phase as phase_module
from netchu.training.callbacks import TimerCallback
from netchu.training.stage import build_recogniser, train_stage
from small_project import MODEL, PHASE, as_table, drawn_lines

LONG = PHASE | {"epochs": 2, "steps_per_epoch": 3, "batch_size": 4}
HERE, SUPPORT = Path(__file__).parent, Path(small_project.__file__).parent
TESTS = [str(folder) for folder in (HERE, HERE.parent, SUPPORT)]


def settings(seed=7, **phase):
    phases = [LONG | phase]
    system = {
        "model": MODEL,
        "pretrain": small_project.numbered(*phases),
        "finetune": small_project.numbered(*phases),
    }
    return small_project.params(seed=seed, systems={"netchu_small": system})


def write_lines(params, extra=(), splits=("train", "val")):
    lines = [line for split in splits for line in drawn_lines(split)]
    write_table([*lines, *extra], params.lines / "drawn")


def trained(home, monkeypatch, **changes):
    """The model directory of a pretraining in the folder `home`."""
    home.mkdir(exist_ok=True)
    monkeypatch.chdir(home)
    params = settings(**changes)
    write_lines(params)
    return home / train_stage(params, "netchu_small", "pretrain")


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path, monkeypatch):
    first, again, other = (
        trained(tmp_path / name, monkeypatch, seed=seed)
        for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )
    assert hash_folder(first) == hash_folder(again)
    assert weights_hash(first) != weights_hash(other)


def test_the_files_and_figures_of_a_trained_stage(tmp_path, monkeypatch):
    folder = trained(tmp_path, monkeypatch)
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv", "model.json", "model.safetensors", "skipped.csv",
    ]  # fmt: skip
    history = pd.read_csv(folder / "history.csv")
    assert list(history.columns) == [
        "stage", "phase", "epoch", "step", "train_loss", "val_loss", "val_cer", "learning_rate",
    ]  # fmt: skip
    assert list(history["epoch"]) == [0, 1]
    assert list(history["step"]) == [3, 6]
    assert history.notna().all().all()
    card = read_card(folder)
    assert card["provenance"]["data"] == {"drawn": hash_folder(tmp_path / "data/tiny/lines/drawn")}
    (phase,) = card["training"]
    assert phase["lines"] == 12
    assert phase["val_cer"] == pytest.approx(history["val_cer"].min(), rel=1e-4)
    assert read_skipped(folder) == []
    cost = json.loads(folder.with_name("pretrain.cost.json").read_text())
    assert cost["seconds"] > 0
    told = b"".join(path.read_bytes() for path in folder.iterdir())
    assert str(tmp_path).encode() not in told
    assert not list(CHECKPOINTS.rglob("*.ckpt"))


def test_finetuning_starts_from_the_pretrained_weights(tmp_path, monkeypatch):
    before = trained(tmp_path, monkeypatch)
    after = train_stage(settings(), "netchu_small", "finetune")
    card = read_card(after)
    assert card["provenance"]["pretrained"] == weights_hash(before)
    assert [phase["stage"] for phase in card["training"]] == ["pretrain", "finetune"]
    assert weights_hash(after) != weights_hash(before)


def test_every_phase_trains_in_training_mode(tmp_path, monkeypatch):
    trained(tmp_path, monkeypatch)
    modes = []
    step = NetchuSmall.training_step

    def watched(self, batch, batch_idx):
        modes.append(all(module.training for module in self.modules()))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(NetchuSmall, "training_step", watched)
    system = {
        "model": MODEL,
        "pretrain": small_project.numbered(LONG),
        "finetune": small_project.numbered(LONG, LONG),
    }
    train_stage(small_project.params(systems={"netchu_small": system}), "netchu_small", "finetune")
    assert modes == [True] * 12


def die_in_epoch_1(monkeypatch, count):
    """Count training steps; break off in the second step of the second epoch."""
    step = NetchuSmall.training_step

    def dying(self, batch, batch_idx):
        count.append((self.current_epoch, batch_idx))
        if (self.current_epoch, batch_idx) == (1, 1) and count.count((1, 1)) == 1:
            raise RuntimeError("the power went out")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(NetchuSmall, "training_step", dying)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_a_resumed_training_gives_the_bytes_of_an_uninterrupted_one(tmp_path, monkeypatch, decay):
    whole = trained(tmp_path / "whole", monkeypatch, ema_decay=decay)
    steps = []
    with monkeypatch.context() as patch:
        die_in_epoch_1(patch, steps)
        with pytest.raises(RuntimeError, match="power"):
            trained(tmp_path / "halves", monkeypatch, ema_decay=decay)
        assert not list((tmp_path / "halves" / "models").rglob("*.json"))
        assert len(steps) == 5
        steps.append("restart")
        halves = trained(tmp_path / "halves", monkeypatch, ema_decay=decay)
    assert steps[6:] == [(1, 0), (1, 1), (1, 2)]
    assert hash_folder(whole) == hash_folder(halves)


def test_with_ema_decay_the_running_mean_is_saved(tmp_path, monkeypatch):
    plain = load_model(trained(tmp_path / "plain", monkeypatch, epochs=1)).state_dict()
    first = load_model(
        trained(tmp_path / "first", monkeypatch, epochs=1, ema_decay=1.0)
    ).state_dict()
    mean = load_model(trained(tmp_path / "mean", monkeypatch, epochs=1, ema_decay=0.5)).state_dict()
    # The mean begins with the weights after the first step; keeping all of it, it stays there.
    assert not torch.equal(mean["head.weight"], plain["head.weight"])
    assert not torch.equal(first["head.weight"], plain["head.weight"])
    between = torch.dist(mean["head.weight"], plain["head.weight"])
    assert between < torch.dist(first["head.weight"], plain["head.weight"])


def test_a_weight_of_two_doubles_the_training_items_and_validates_once(tmp_path, monkeypatch):
    items = []
    plan = phase_module.plan_items

    def watched(lines, concat_prob, seed):
        items.append(plan(lines, concat_prob, seed))
        return items[-1]

    monkeypatch.setattr(phase_module, "plan_items", watched)
    once = read_card(trained(tmp_path / "once", monkeypatch))
    twice = read_card(trained(tmp_path / "twice", monkeypatch, dataset_weights={"drawn": 2.0}))
    assert sorted(items[1]) == sorted(2 * list(items[0]))
    assert twice["training"][0]["lines"] == once["training"][0]["lines"]
    (phase,) = settings(dataset_weights={"drawn": 2.0}).systems["netchu_small"].pretrain.values()
    assert phase_module.validation_lines(as_table(drawn_lines("val")).assign(weight=2.0), phase)[
        "id"
    ].is_unique


def test_accumulated_gradients_make_one_step_of_several_batches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = settings()
    trainer = dataclasses.replace(params.trainer, accumulate_grad_batches=2)
    params = dataclasses.replace(params, trainer=trainer)
    write_lines(params)
    folder = train_stage(params, "netchu_small", "pretrain")
    # Two epochs of three batches: two batches make a step, then the one that is left.
    assert list(pd.read_csv(folder / "history.csv")["step"]) == [2, 4]


def test_a_phase_may_train_at_another_height(tmp_path, monkeypatch):
    seen = []
    step = NetchuSmall.training_step

    def watched(self, batch, batch_idx):
        seen.append(batch.images_BCHW.shape[2])
        return step(self, batch, batch_idx)

    monkeypatch.setattr(NetchuSmall, "training_step", watched)
    folder = trained(tmp_path, monkeypatch, height=24)
    assert set(seen) == {24}
    assert load_model(folder).preprocessing.height == MODEL["height"]


def test_a_part_to_freeze_in_a_later_stage_is_checked_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    system = {
        "model": MODEL,
        "pretrain": small_project.numbered(LONG),
        "finetune": small_project.numbered(LONG, LONG | {"freeze": "backbon"}),
    }
    params = small_project.params(systems={"netchu_small": system})
    key = r"params.yaml systems.netchu_small.finetune.phase2.freeze"
    with pytest.raises(NetchuError, match=f"{key}: netchu_small has no part 'backbon' to freeze"):
        train_stage(params, "netchu_small", "pretrain")


@pytest.mark.parametrize("change", [{"accelerator": "gpuu"}, {"precision": "31"}])
def test_a_trainer_that_lightning_refuses_is_an_error_with_its_reason(
    tmp_path, monkeypatch, change
):
    monkeypatch.chdir(tmp_path)
    params = settings()
    params = dataclasses.replace(params, trainer=dataclasses.replace(params.trainer, **change))
    write_lines(params)
    with pytest.raises(NetchuError, match=r"params.yaml trainer: .*('gpuu'|31)"):
        train_stage(params, "netchu_small", "pretrain")


def test_a_network_of_one_height_refuses_another(tmp_path, monkeypatch):
    monkeypatch.setattr(NetchuSmall, "any_height", False)
    with pytest.raises(NetchuError, match="netchu_small takes only lines of 32 px"):
        trained(tmp_path, monkeypatch, height=24)


KILLED = """
import os, signal, sys
sys.path[:0] = {tests!r}
import conftest  # one thread, as in the tests
from netchu.models.networks.netchu_small import NetchuSmall
from netchu.training.stage import train_stage
from test_training import settings

step = NetchuSmall.training_step

def dying(self, batch, batch_idx):
    if (self.current_epoch, batch_idx) == (1, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)

NetchuSmall.training_step = dying
train_stage(settings(), "netchu_small", "pretrain")
"""


def started_epochs(monkeypatch):
    """List to which every epoch that starts from now on is appended."""
    epochs = []
    started = TimerCallback.on_train_epoch_start

    def watched(self, trainer, module):
        epochs.append(trainer.current_epoch)
        started(self, trainer, module)

    monkeypatch.setattr(TimerCallback, "on_train_epoch_start", watched)
    return epochs


def test_a_killed_process_resumes_from_its_last_epoch(tmp_path, monkeypatch):
    whole = trained(tmp_path / "whole", monkeypatch)
    home = tmp_path / "killed"
    home.mkdir()
    monkeypatch.chdir(home)
    write_lines(settings())
    command = [sys.executable, "-c", KILLED.format(tests=TESTS)]
    ended = subprocess.run(command, cwd=home, capture_output=True, text=True, env=os.environ)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (home / "models").exists()
    (last,) = CHECKPOINTS.rglob("last.ckpt")
    assert last.stat().st_size
    epochs = started_epochs(monkeypatch)
    train_stage(settings(), "netchu_small", "pretrain")
    assert epochs == [1]
    assert hash_folder(whole) == hash_folder(home / "models/tiny/netchu_small/pretrain")


@pytest.mark.parametrize("change", [{"learning_rate": 0.01}, {"seed": 8}, "lines", "code"])
def test_a_change_of_parameters_lines_or_code_prevents_resuming(tmp_path, monkeypatch, change):
    steps = []
    die_in_epoch_1(monkeypatch, steps)
    with pytest.raises(RuntimeError, match="power"):
        trained(tmp_path, monkeypatch)
    steps.append("restart")
    params = settings(**(change if isinstance(change, dict) else {}))
    if change == "lines":
        write_lines(params, splits=("train", "val", "test"))
    if change == "code":
        monkeypatch.setattr("netchu.core.fingerprints.fingerprint", lambda entries: "other code")
    train_stage(params, "netchu_small", "pretrain")
    assert len(steps) == 5 + 1 + 6


def short_line():
    """A line with far more letters than its image has time steps."""
    (line,) = drawn_lines("train", 1)
    return dataclasses.replace(line, id="squeezed", text="ngã tư " * 8 + "xa")


def test_lines_too_short_for_ctc_are_skipped_and_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = settings()
    write_lines(params, [short_line()])
    folder = train_stage(params, "netchu_small", "pretrain")
    (skipped,) = read_skipped(folder)
    assert skipped.id == "squeezed"
    assert skipped.reason.startswith("too short for CTC: 32 time steps for 58 needed")
    assert read_card(folder)["training"][0]["lines"] == 12


@pytest.mark.parametrize("missing", ["train", "val"])
def test_a_split_without_a_line_is_named(tmp_path, monkeypatch, missing):
    monkeypatch.chdir(tmp_path)
    params = settings()
    write_lines(params, splits=({"train", "val"} - {missing}) | {"test"})
    with pytest.raises(NetchuError, match=f"netchu_small: no {missing} line in drawn; check"):
        train_stage(params, "netchu_small", "pretrain")
    assert not Path("models").exists()


def test_a_phase_trains_only_on_lines_of_its_levels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = settings(levels=["line"])
    write_lines(params)
    lines = sum(line.level == "line" for line in drawn_lines("train"))
    folder = train_stage(params, "netchu_small", "pretrain")
    assert read_card(folder)["training"][0]["lines"] == lines < 12


def test_a_missing_table_and_a_missing_pretrained_model_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = settings()
    with pytest.raises(NetchuError, match="drawn holds no line table; run"):
        train_stage(params, "netchu_small", "pretrain")
    write_lines(params)
    with pytest.raises(NetchuError, match="pretrain holds no model; run 'dvc repro'"):
        train_stage(params, "netchu_small", "finetune")


def test_history_and_card_name_each_of_several_phases(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    phases = [LONG | {"freeze": "backbone", "epochs": 1}, LONG | {"folds": 2, "epochs": 1}]
    system = {
        "model": MODEL,
        "pretrain": small_project.numbered(*phases),
        "finetune": small_project.numbered(*phases),
    }
    params = small_project.params(systems={"netchu_small": system})
    write_lines(params)
    folder = train_stage(params, "netchu_small", "pretrain")
    first, second = read_card(folder)["training"]
    assert first["phase"]["freeze"] == "backbone"
    assert len(second["fold_val_cer"]) == 2
    assert list(pd.read_csv(folder / "history.csv")["phase"]) == [0, 1]


def test_val_lines_limits_the_validation_lines():
    params = settings(val_lines=3)
    lines = as_table(drawn_lines("train") + drawn_lines("val"))
    recogniser = build_recogniser(params, "netchu_small")
    (phase,) = params.system("netchu_small").pretrain.values()
    data = phase_module.phase_data(recogniser, lines, phase, params, 1)
    assert len(data.val) == 3
    assert data.val.equals(phase_module.phase_data(recogniser, lines, phase, params, 2).val)


def test_a_step_without_a_finite_gradient_is_skipped(tmp_path, monkeypatch, capsys):
    usual = NetchuSmall.loss
    calls = []

    def sometimes_broken(self, batch):
        calls.append(self.training)
        loss = usual(self, batch)
        return loss * float("nan") if self.training and sum(calls) == 2 else loss

    monkeypatch.setattr(NetchuSmall, "loss", sometimes_broken)
    folder = trained(tmp_path, monkeypatch)
    assert "step 1 has no finite gradient and is skipped" in capsys.readouterr().err
    assert pd.read_csv(folder / "history.csv")["val_loss"].notna().all()


def test_pretraining_may_start_from_the_weights_of_a_model_folder(tmp_path, monkeypatch):
    first = trained(tmp_path, monkeypatch)
    grown = {"model": MODEL | {"weights": str(first), "mixers": 2}, "pretrain": {}, "finetune": {}}
    params = small_project.params(profile="later", systems={"netchu_small": grown})
    folder = train_stage(params, "netchu_small", "pretrain")
    old, new = load_model(first).state_dict(), load_model(folder).state_dict()
    assert all(torch.equal(new[name], weight) for name, weight in old.items())
    assert {name.split(".")[1] for name in set(new) - set(old)} == {"1"}
    card = read_card(folder)
    assert card["training"] == read_card(first)["training"]
    assert card["provenance"]["pretrained"] == weights_hash(first)
    shutil.rmtree(first)
    assert train_stage(params, "netchu_small", "finetune")  # the origin is not needed again


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"channels": [4, 4, 8, 12]}, r"backbone\S+ \(.*\) is no weight of this netchu_small"),
        ({"weights": "nowhere"}, "nowhere holds no weights to start from"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, monkeypatch, changes, told):
    first = trained(tmp_path, monkeypatch)
    grown = {"model": MODEL | {"weights": str(first)} | changes, "pretrain": {}, "finetune": {}}
    with pytest.raises(NetchuError, match=told):
        build_recogniser(small_project.params(systems={"netchu_small": grown}), "netchu_small")


def test_code_that_training_does_not_run_leaves_checkpoints_valid():
    entries = [PACKAGE / "training/stage.py", PACKAGE / "models/networks/netchu_small.py"]
    packages = {path.relative_to(PACKAGE).parts[0] for path in import_closure(entries)}
    assert packages == {"__init__.py", "core", "imaging", "data", "decoding", "models", "training"}
