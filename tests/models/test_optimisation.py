"""Optimisers and learning-rate schedules, checked against values computed by hand."""

import math

import pytest
import torch
from torch import nn

from netchu.core.params import PhaseParams
from netchu.models.optimisation import optimiser_and_schedule


def phase(**other):
    settings = {"datasets": ("lines",), "epochs": 4, "steps_per_epoch": 10, "batch_size": 2,
                "learning_rate": 0.1, "weight_decay": 0.3}  # fmt: skip
    return PhaseParams(**settings | other)


def rates(configured, steps):
    """The learning rate before each of `steps` steps, and after the last."""
    optimiser, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    seen = [optimiser.param_groups[0]["lr"]]
    for _ in range(steps):
        optimiser.step()
        scheduler.step()
        seen.append(optimiser.param_groups[0]["lr"])
    return seen


def test_cosine_falls_from_the_learning_rate_to_zero_over_all_steps_of_the_phase():
    seen = rates(optimiser_and_schedule(nn.Linear(2, 2), phase(schedule="cosine")), 40)
    expected = [0.1 * (1 + math.cos(math.pi * step / 40)) / 2 for step in range(41)]
    assert seen == pytest.approx(expected, abs=1e-9)


def test_one_cycle_rises_during_the_warm_up_and_ends_near_zero():
    configured = optimiser_and_schedule(nn.Linear(2, 2), phase(schedule="onecycle", warmup=0.25))
    seen = rates(configured, 40)
    assert max(seen) == pytest.approx(0.1, rel=0.01)
    assert seen.index(max(seen)) in (9, 10)
    assert seen[0] == pytest.approx(0.1 / 25)
    assert seen[-1] < 0.1 / 1e4


@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
@pytest.mark.parametrize(("batches", "steps"), [(1, 40), (2, 20), (3, 16), (20, 4)])
def test_a_schedule_spans_the_steps_that_accumulated_gradients_leave(schedule, batches, steps):
    """An epoch of 10 batches has 10, 5, 4 and 1 steps: the last takes what is left."""
    configured = optimiser_and_schedule(nn.Linear(2, 2), phase(schedule=schedule), batches)
    seen = rates(configured, steps)
    assert seen[-1] < 0.001
    assert max(seen) == pytest.approx(0.1, rel=0.05)
    assert seen[-2] > seen[-1]


@pytest.mark.parametrize("monitor", ["val_cer", "val_loss"])
def test_a_plateau_is_one_of_what_the_phase_monitors(monitor):
    configured = optimiser_and_schedule(nn.Linear(2, 2), phase(schedule="plateau", monitor=monitor))
    assert configured["lr_scheduler"]["monitor"] == monitor
    scheduler = configured["lr_scheduler"]["scheduler"]
    assert (scheduler.factor, scheduler.patience, scheduler.mode) == (0.2, 5, "min")


def test_frozen_parameters_are_not_optimised():
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    configured = optimiser_and_schedule(network, phase(schedule="constant"))
    optimised = [p for group in configured["optimizer"].param_groups for p in group["params"]]
    assert [id(p) for p in optimised] == [id(network.weight)]
    assert isinstance(configured["optimizer"], torch.optim.AdamW)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])
def test_weight_decay_spares_biases_and_normalisation(optimizer):
    network = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.LSTM(3, 4), nn.Linear(4, 2))
    configured = optimiser_and_schedule(network, phase(schedule="constant", optimizer=optimizer))
    decay = {
        id(parameter): group["weight_decay"]
        for group in configured["optimizer"].param_groups
        for parameter in group["params"]
    }
    found = {name: decay.pop(id(p)) for name, p in network.named_parameters()}
    assert decay == {}
    decayed = {name for name, value in found.items() if value == 0.3}
    assert decayed == {"0.weight", "2.weight_ih_l0", "2.weight_hh_l0", "3.weight"}
    assert {found[name] for name in found.keys() - decayed} == {0.0}


def test_a_step_without_gradient_shrinks_the_weights_and_leaves_the_biases():
    network = nn.Linear(2, 2)
    before = [p.detach().clone() for p in network.parameters()]
    configured = optimiser_and_schedule(network, phase(schedule="constant"))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    configured["optimizer"].step()
    torch.testing.assert_close(network.weight.detach(), before[0] * (1 - 0.1 * 0.3))
    torch.testing.assert_close(network.bias.detach(), before[1], rtol=0, atol=0)


def test_only_vectors_can_be_trained():
    network = nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    (group,) = optimiser_and_schedule(network, phase(schedule="constant"))["optimizer"].param_groups
    assert group["weight_decay"] == 0.0


class Reader(nn.Module):
    """A table of embeddings, a matrix, and an output layer that shares the table."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(32, 4)
        self.hidden = nn.Linear(4, 4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.output = nn.Linear(4, 32, bias=False)
        self.output.weight = self.table.weight

    def forward(self, ids):
        return self.output(self.frozen(self.hidden(self.table(ids))))


def test_muon_makes_equal_steps_in_all_directions_of_a_hidden_matrix():
    torch.manual_seed(0)
    reader = Reader()
    before = {name: value.clone() for name, value in reader.state_dict().items()}
    muon = optimiser_and_schedule(
        reader, phase(optimizer="muon", schedule="constant", weight_decay=0.0)
    )["optimizer"]
    reader(torch.arange(32)).square().sum().backward()
    gradient = reader.hidden.weight.grad
    muon.step()
    change = {name: value - before[name] for name, value in reader.state_dict().items()}
    sizes = torch.linalg.svdvals(change["hidden.weight"])
    # As large as AdamW's, 0.2 of its rate in the root mean square (Liu et al. 2025, "Muon is
    # scalable for LLM training"); Newton-Schulz iterations leave the sizes near each other.
    assert sizes.max() / sizes.min() < 2
    assert torch.linalg.svdvals(gradient).max() / torch.linalg.svdvals(gradient).min() > 4
    rms = change["hidden.weight"].square().mean().sqrt()
    assert float(rms) == pytest.approx(0.2 * 0.1, rel=0.25)
    # Adam's first step is the same for all weights, whatever the gradient.
    first = change["hidden.bias"][0].abs()
    assert float(first) > 0
    torch.testing.assert_close(change["hidden.bias"].abs(), first.expand(4))
    torch.testing.assert_close(change["table.weight"].abs(), first.expand(32, 4))
    assert not change["frozen.weight"].any()


def test_muon_takes_matrices_and_leaves_out_tables_biases_and_frozen_weights():
    reader = Reader()
    names = {id(p): name for name, p in reader.named_parameters()}
    groups = optimiser_and_schedule(reader, phase(optimizer="muon"))["optimizer"].param_groups
    found = sorted(
        (names[id(p)], group.get("use_fallback", False), group["weight_decay"])
        for group in groups
        for p in group["params"]
    )
    assert found == [
        ("hidden.bias", True, 0.0), ("hidden.weight", False, 0.3), ("table.weight", True, 0.3),
    ]  # fmt: skip


def test_muon_trains_a_network_without_linear_layers():
    network = nn.Conv1d(2, 2, 3)
    muon = optimiser_and_schedule(network, phase(optimizer="muon"))["optimizer"]
    before = network.weight.detach().clone()
    network(torch.ones(1, 2, 5)).sum().backward()
    muon.step()
    assert not torch.equal(network.weight, before)
