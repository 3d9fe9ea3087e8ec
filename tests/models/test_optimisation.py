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


def test_frozen_parameters_are_not_optimised():
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    configured = optimiser_and_schedule(network, phase(schedule="constant"))
    optimised = [p for group in configured["optimizer"].param_groups for p in group["params"]]
    assert [id(p) for p in optimised] == [id(network.weight)]
    assert isinstance(configured["optimizer"], torch.optim.AdamW)
