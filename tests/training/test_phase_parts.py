"""The parts of a phase alone: its figures, its callbacks, its loaders, and what a resume needs."""

import dataclasses
import math
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import small_project
from netchu.core.params import PhaseParams, parse_config
from netchu.data.batches import plan_items
from netchu.data.line_table import write_table
from netchu.imaging.preparation import Preprocessing
from netchu.training import stage
from netchu.training.callbacks import HistoryCallback, SeedEachStep, TimerCallback
from netchu.training.data_module import LineDataModule
from netchu.training.phase import PhaseResult, validation_lines
from netchu.training.stage_info import (
    code_fingerprint,
    cost_file,
    stage_phases,
    training_phases,
    training_stages,
)

PHASE = parse_config(
    PhaseParams,
    {"datasets": ["drawn"], "epochs": 9, "steps_per_epoch": 5, "batch_size": 4, "val_lines": 6},
    "test",
)


def test_the_figures_of_a_phase_are_those_of_its_epochs():
    history = [{"step": 5, "val_cer": 0.5}, {"step": 10, "val_cer": 0.2500004},
               {"step": 14, "val_cer": 0.3}]  # fmt: skip
    result = PhaseResult(None, PHASE, history, 2.5, 70, [0.41, 0.3200001])
    assert (result.steps, result.val_cer) == (14, 0.2500004)
    assert result.summary() == {
        "phase": dataclasses.asdict(PHASE),
        "lines": 70,
        "epochs": 3,
        "images_seen_at_most": 3 * 5 * 4,
        "val_cer": 0.25,
        "fold_val_cer": [0.41, 0.32],
    }
    empty = PhaseResult(None, PHASE, [], 0.0, 70)
    assert empty.steps == 0
    assert math.isnan(empty.val_cer)
    assert empty.summary()["fold_val_cer"] == []


def test_validation_lines_are_a_fixed_sample_of_the_val_split_each_line_once():
    lines = pd.DataFrame(
        {"id": [f"{n:02d}" for n in range(20)] * 2, "source": ["a"] * 20 + ["b"] * 20,
         "split": ["val", "train"] * 20, "weight": 2.0}
    )  # fmt: skip
    found = validation_lines(pd.concat([lines, lines]), PHASE)
    assert list(found.index) == list(range(6))
    assert list(zip(found["source"], found["id"], strict=True)) == [
        ("b", "16"), ("a", "02"), ("b", "18"), ("a", "16"), ("b", "00"), ("b", "14")
    ]  # fmt: skip
    every = validation_lines(pd.concat([lines, lines]), dataclasses.replace(PHASE, val_lines=50))
    assert sorted(zip(every["source"], every["id"], strict=True)) == [
        (source, f"{n:02d}") for source in "ab" for n in range(0, 20, 2)
    ]


def test_torch_is_seeded_by_the_number_of_the_batch():
    trainer = SimpleNamespace(fit_loop=SimpleNamespace(total_batch_idx=7))
    SeedEachStep(5).on_train_batch_start(trainer, None, None, 3)
    assert torch.initial_seed() == 12


def test_seconds_are_those_of_epochs_with_their_validation_over_restarts(monkeypatch):
    clock = iter([100.0, 101.0, 104.0, 106.5, 200.0, 203.0, 207.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    first = TimerCallback()  # 100
    first.on_train_epoch_start(None, None)  # 101
    first.on_validation_end(None, None)  # 104
    first.on_validation_end(None, None)  # 106.5
    assert first.state_dict() == {"seconds": 5.5}
    second = TimerCallback()  # 200
    assert second.seconds == 0
    second.load_state_dict(first.state_dict())
    second.on_train_epoch_start(None, None)  # 203
    second.on_validation_end(None, None)  # 207
    assert second.seconds == 9.5


def test_the_history_has_a_row_for_each_epoch():
    history = HistoryCallback()
    assert history.rows == []
    for epoch, rate in enumerate((0.25, 0.125)):
        trainer = SimpleNamespace(
            callback_metrics={"train_loss": torch.tensor(2.0 - epoch), "val_loss": 3.0 - epoch,
                              "val_cer": 0.5, "other": 9.0},
            optimizers=[SimpleNamespace(param_groups=[{"lr": rate}, {"lr": 9.0}]), None],
            current_epoch=epoch, global_step=3 * (epoch + 1),
        )  # fmt: skip
        history.on_train_epoch_end(trainer, None)
    resumed = HistoryCallback()
    resumed.load_state_dict(history.state_dict())
    assert resumed.rows == [
        {"epoch": 0, "step": 3, "learning_rate": 0.25, "train_loss": 2.0, "val_loss": 3.0,
         "val_cer": 0.5},
        {"epoch": 1, "step": 6, "learning_rate": 0.125, "train_loss": 1.0, "val_loss": 2.0,
         "val_cer": 0.5},
    ]  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_loaders_know_process_epoch_device_and_workers(drawn, workers, device):
    data = LineDataModule(
        drawn, plan_items(drawn, 0, 0), drawn, Preprocessing("grey", 32), batch_size=4,
        steps_per_epoch=3, epochs=6, augmentation_strength=(0.0, 0.5), seed=11, workers=workers,
    )  # fmt: skip
    data.trainer = SimpleNamespace(
        global_rank=1, world_size=2,
        strategy=SimpleNamespace(root_device=torch.device(device)),
        fit_loop=SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(
            processed=4))),
    )  # fmt: skip
    loader, validation = data.train_dataloader(), data.val_dataloader()
    batches = loader.batch_sampler
    assert (batches.rank, batches.world, batches.epoch) == (1, 2, 4)
    assert (batches.batch_size, batches.steps, batches.seed) == (4, 3, 11)
    assert len(list(batches)) == 3
    assert {epoch for batch in batches for epoch, _ in batch} == {4}
    assert loader.dataset.strengths == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert len(loader.dataset) == len(drawn)
    numbers = validation.batch_sampler.numbers
    for one in (loader, validation):
        assert (one.num_workers, one.persistent_workers) == (workers, workers > 0)
        assert one.pin_memory == (device == "cuda")
    data.trainer = None
    alone = data.train_dataloader()
    assert (alone.batch_sampler.rank, alone.batch_sampler.world, alone.batch_sampler.epoch) == (
        0, 1, 0
    )  # fmt: skip
    assert not alone.pin_memory
    every = list(data.val_dataloader().batch_sampler)
    assert max(map(len, every)) == 4
    assert numbers == [min(number, len(every) - 1) for number in range(1, len(every) + 1, 2)]
    assert list(validation.batch_sampler) == [every[number] for number in numbers]


def test_a_systems_stages_and_phases_are_its_own_but_for_the_pretraining_it_starts_from():
    phases = [small_project.PHASE | {"epochs": epochs} for epochs in (1, 2, 3, 4)]
    first = {"model": {}, "pretrain": small_project.numbered(*phases[:2]),
             "finetune": small_project.numbered(phases[2])}  # fmt: skip
    second = {"network": "netchu_small", "model": {}, "start": "netchu_small", "pretrain": {},
              "finetune": small_project.numbered(phases[3])}  # fmt: skip
    params = small_project.params(systems={"netchu_small": first, "second": second})

    def epochs(found):
        return [phase.epochs for phase in found]

    assert training_stages(params, "netchu_small") == ("pretrain", "finetune")
    assert training_stages(params, "second") == ("finetune",)
    assert epochs(training_phases(params, "netchu_small")) == [1, 2, 3]
    assert epochs(training_phases(params, "second")) == [4]
    assert epochs(stage_phases(params, "second", "pretrain")) == [1, 2]
    assert epochs(stage_phases(params, "second", "finetune")) == [4]
    assert cost_file(Path("a/pretrain")) == Path("a/pretrain.cost.json")
    assert code_fingerprint("trocr") != code_fingerprint("crnn_vgg")


def test_lines_of_a_phase_have_its_levels_and_the_weights_of_their_datasets(project_folder):
    params = small_project.params(
        datasets={name: {"source": "synthetic", "input": "nowhere"} for name in ("ink", "pen")}
    )
    for name in ("ink", "pen"):
        write_table(small_project.drawn_lines("train", 6), params.lines / name)
    phase = dataclasses.replace(
        PHASE, datasets=("pen", "ink"), levels=("line",), dataset_weights={"ink": 2.5}
    )
    found = stage.phase_lines(params, phase)
    each = sum(line.level == "line" for line in small_project.drawn_lines("train", 6))
    assert list(found.index) == list(range(2 * each))
    assert set(found["level"]) == {"line"}
    assert list(found["weight"]) == [1.0] * each + [2.5] * each


def test_seeds_of_stages_have_not_changed():
    """A published model can be trained again only while its seed gives the same weights."""
    assert stage._seed(7, "netchu_small", "pretrain", 0) == 1_588_721_457
    parts = [(seed, name, number) for seed in (7, 8) for name in "ab" for number in (0, 1)]
    assert len({stage._seed(*part) for part in parts}) == 8


def test_a_checkpoint_is_resumed_only_by_what_gives_the_same_bytes(monkeypatch):
    codes = iter(["other code"])
    monkeypatch.setattr(stage, "code_fingerprint", lambda network: f"code of {network}")
    params = small_project.params()
    card = {"stage": "pretrain", "provenance": {"seed": 7}}

    def key(changed=params, card=card):
        return stage._resume_key(changed, "netchu_small", card)

    def changed(part, **values):
        return dataclasses.replace(params, **{part: dataclasses.replace(getattr(params, part),
                                                                        **values)})  # fmt: skip

    first = key()
    assert len(first) == 16
    assert key(changed("compute", workers=3)) == first
    system = dataclasses.replace(params.system("netchu_small"), pretrain={})
    others = [
        key(changed("compute", threads=5)),
        key(changed("compute", isa="other")),
        key(changed("trainer", accumulate_grad_batches=2)),
        key(dataclasses.replace(params, systems={"netchu_small": system})),
        key(card=card | {"stage": "finetune"}),
    ]
    monkeypatch.setattr(stage, "code_fingerprint", lambda network: next(codes))
    others.append(key())
    assert len({first, *others}) == 7
