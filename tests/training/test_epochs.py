"""Which epoch is kept, when a phase stops, and what differs between epochs and steps."""

from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pandas as pd
import pytest
import torch
from test_training import trained
from torch import nn

import small_project
from netchu.core.params import ComputeParams, TrainerParams
from netchu.data.batches import LineDataset, plan_items
from netchu.imaging.preparation import Preprocessing
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model
from netchu.models.networks.netchu_small import NetchuSmall
from netchu.training import data_module
from netchu.training.callbacks import SkipNonFiniteGradients
from netchu.training.data_module import AugmentedLines, LineDataModule


class Recorded:
    """An augmenter that changes nothing and keeps its strengths and seeds."""

    calls: ClassVar[list[tuple[float, int]]] = []

    def __init__(self, strength):
        self.strength = strength

    def __call__(self, photo, seed):
        self.calls.append((self.strength, seed))
        return photo


@pytest.fixture
def augmentations(monkeypatch):
    monkeypatch.setattr(data_module, "Augmenter", Recorded)
    monkeypatch.setattr(Recorded, "calls", [])
    return Recorded.calls


@pytest.mark.parametrize(
    ("patience", "cers", "epochs", "best"),
    [(2, [0.9, 0.5, 0.7, 0.6, 0.4, 0.3], 4, 1), (0, [0.1, 0.3, 0.2], 3, 0)],
)
def test_the_epoch_with_the_lowest_validation_cer_is_kept_and_patience_counts_from_it(
    tmp_path, monkeypatch, patience, cers, epochs, best
):
    # The training loss falls all the time, so that only the validation CER can end the phase.
    weights = []
    usual = NetchuSmall.loss

    def validated(self):
        weights.append({name: value.clone() for name, value in self.state_dict().items()})
        self.log("val_loss", 1.0, logger=False)
        self.log("val_cer", cers[self.current_epoch], logger=False)

    monkeypatch.setattr(NetchuSmall, "on_validation_epoch_end", validated)
    monkeypatch.setattr(
        NetchuSmall, "loss", lambda self, batch: usual(self, batch) * 0.5**self.current_epoch
    )
    folder = trained(tmp_path, monkeypatch, patience=patience, epochs=len(cers))
    assert list(pd.read_csv(folder / "history.csv")["val_cer"]) == cers[:epochs]
    kept = load_model(folder).state_dict()
    same = [all(torch.equal(kept[name], value) for name, value in one.items()) for one in weights]
    assert same == [epoch == best for epoch in range(epochs)]
    (phase,) = read_card(folder)["training"]
    assert (phase["val_cer"], phase["epochs"]) == (cers[best], epochs)
    assert phase["images_seen_at_most"] == epochs * 3 * 4  # epochs, steps, lines of a batch


def test_the_epoch_with_the_lowest_validation_loss_is_kept_if_that_is_monitored(
    tmp_path, monkeypatch
):
    cers, losses = [0.1, 0.5, 0.7, 0.6, 0.2], [3.0, 1.0, 2.0, 2.5, 0.5]

    def validated(self):
        self.log("val_loss", losses[self.current_epoch], logger=False)
        self.log("val_cer", cers[self.current_epoch], logger=False)

    monkeypatch.setattr(NetchuSmall, "on_validation_epoch_end", validated)
    folder = trained(tmp_path, monkeypatch, patience=2, epochs=5, monitor="val_loss")
    (phase,) = read_card(folder)["training"]
    assert (phase["val_cer"], phase["epochs"]) == (0.5, 4)


def test_a_training_clips_gradients_and_augments_by_its_curriculum(
    tmp_path, monkeypatch, augmentations
):
    norms = []
    step = torch.optim.AdamW.step

    def watched(self, closure):
        closure()
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.nn.utils.get_total_norm([g for g in gradients if g is not None])))
        return step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    trained(tmp_path, monkeypatch, clip=0.01, augmentation_strength=[0.2, 0.8])
    assert norms == [pytest.approx(0.01, rel=1e-3)] * 6
    strengths = [strength for strength, _ in augmentations]
    assert sorted(set(strengths)) == [0.2, 0.8]
    assert strengths == sorted(strengths)


def test_a_line_is_augmented_in_another_way_in_every_epoch(drawn, augmentations):
    lines = LineDataset(drawn, plan_items(drawn, 0, 0), Preprocessing("grey", 32), None, 5)
    dataset = AugmentedLines(lines, [0.1, 0.2, 0.3])
    keys = [(0, 3), (0, 4), (1, 3), (2, 3), (0, 3)]
    for key in keys:
        dataset[key]
    assert [strength for strength, _ in augmentations] == [0.1, 0.1, 0.2, 0.3, 0.1]
    seeds = dict(zip(keys, (seed for _, seed in augmentations), strict=True))
    assert len(set(seeds.values())) == 4
    assert seeds[2, 3] == ((5 + 2 * 7919) * 1_000_003 + 3) % 2**31
    assert augmentations[0] == augmentations[-1]


def test_batches_and_strengths_of_the_loader_are_those_of_the_epoch(drawn, augmentations):
    data = LineDataModule(
        drawn, plan_items(drawn, 0, 0), drawn, Preprocessing("grey", 32),
        batch_size=4, steps_per_epoch=2, epochs=3, augmentation_strength=(0.0, 1.0), seed=1,
    )  # fmt: skip
    loader = data.train_dataloader()
    shown = []
    for epoch in (0, 1, 2):
        loader.batch_sampler.sampler.set_epoch(epoch)
        shown.append([batch.ids for batch in loader])
    assert sorted({strength for strength, _ in augmentations}) == [0, 0.5, 1]
    assert len({str(ids) for ids in shown}) == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_changes_no_weight(bad, capsys):
    layer = nn.Linear(2, 2)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    before = [p.detach().clone() for p in layer.parameters()]
    for value, changed in ((bad, False), (1.0, True)):
        for parameter in layer.parameters():
            parameter.grad = torch.ones_like(parameter)
        layer.weight.grad[0, 1] = value
        callback = SkipNonFiniteGradients()
        callback.on_before_optimizer_step(SimpleNamespace(global_step=4), layer, optimiser)
        optimiser.step()
        after = list(layer.parameters())
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) == changed
    assert capsys.readouterr().err.count("step 4 has no finite gradient") == 1


@pytest.mark.parametrize(
    ("compute", "trainer", "processes"),
    [
        ({"threads": 2}, {}, 12),
        ({"threads": 10}, {}, 6),
        ({"threads": 16}, {}, 0),
        ({"threads": 20}, {}, 0),
        ({"threads": 2}, {"devices": 2}, 6),
        ({"threads": 16}, {"accelerator": "gpu"}, 12),
        ({"threads": 16}, {"accelerator": "gpu", "devices": 4}, 3),
        ({"workers": 5}, {}, 5),
    ],
)
def test_lines_are_loaded_on_the_cores_that_a_training_leaves_free(
    monkeypatch, compute, trainer, processes
):
    monkeypatch.setattr(data_module, "available_cores", lambda: 16)
    params = replace(
        small_project.params(), compute=ComputeParams(**compute), trainer=TrainerParams(**trainer)
    )
    assert data_module.loading_processes(params) == processes
