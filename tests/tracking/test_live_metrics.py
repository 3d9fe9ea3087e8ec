"""The values of a training step, with a clock and a trainer that the test sets."""

from types import SimpleNamespace

import pytest
import torch

from netchu.tracking import live_metrics
from netchu.tracking.live_metrics import LiveMetrics


@pytest.fixture
def training(monkeypatch):
    """A callback whose batches of three lines take half a second; with what it logs."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(live_metrics.time, "monotonic", lambda: clock.now)
    logged = []
    network = torch.nn.Linear(1, 2, bias=False)
    trainer = SimpleNamespace(
        global_step=0, world_size=2,
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.25}])],
        logger=SimpleNamespace(log_metrics=lambda values, step: logged.append((step, values))),
    )  # fmt: skip
    callback = LiveMetrics()
    callback.on_train_epoch_start(trainer, network)

    def run(steps, gradient=(3.0, 4.0), loss=1.5):
        for _ in range(steps):
            network.weight.grad = torch.tensor(gradient)[:, None]
            callback.on_before_optimizer_step(trainer, network, None)
            trainer.global_step += 1
            clock.now += 0.5
            batch = SimpleNamespace(texts=["a"] * 3)
            callback.on_train_batch_end(trainer, network, {"loss": loss}, batch, 0)

    return SimpleNamespace(run=run, logged=logged, clock=clock, callback=callback, trainer=trainer)


def test_every_tenth_step_has_its_loss_rate_norm_and_lines_per_second(training):
    training.run(9)
    assert training.logged == []
    training.run(1)
    # Two processes of three lines in half a second.
    values = {"step/loss": 1.5, "step/learning_rate": 0.25, "step/gradient_norm": 5.0,
              "step/lines_per_second": 12.0}  # fmt: skip
    assert training.logged == [(10, values)]
    training.run(10, gradient=(0.0, 2.0), loss=0.5)
    assert training.logged[1:] == [(20, values | {"step/loss": 0.5, "step/gradient_norm": 2.0})]


def test_the_time_between_epochs_does_not_count(training):
    training.run(5)
    training.clock.now += 1000
    training.callback.on_train_epoch_start(training.trainer, None)
    training.run(5)
    ((_, values),) = training.logged
    assert values["step/lines_per_second"] == 12.0


def test_a_value_that_is_not_finite_is_left_out(training):
    training.run(10, gradient=(float("nan"), 1.0), loss=float("inf"))
    ((_, values),) = training.logged
    assert set(values) == {"step/learning_rate", "step/lines_per_second"}
