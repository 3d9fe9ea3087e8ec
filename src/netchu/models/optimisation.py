"""Optimisers and learning-rate schedules by the names in the parameters of a phase."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from netchu.core.params import PhaseParams


def optimiser_and_schedule(
    network: nn.Module, phase: PhaseParams, accumulate_grad_batches: int = 1
) -> dict[str, Any]:
    """Return the value for `configure_optimizers`; frozen parameters are left out.

    The schedule spans all steps of the optimiser in the phase; a step uses the gradients of
    `accumulate_grad_batches` batches, the last of an epoch of those that are left.
    """
    optimiser = _optimiser(network, phase)
    steps = phase.epochs * math.ceil(phase.steps_per_epoch / accumulate_grad_batches)
    # With one step of warm-up, OneCycleLR divides by zero.
    warmup = max(phase.warmup, 2 / (steps + 1))
    schedule: dict[str, Any]
    match phase.schedule:
        case "constant":
            return {"optimizer": optimiser}
        case "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.2, patience=5)
            schedule = {"scheduler": plateau, "monitor": phase.monitor, "interval": "epoch"}
        case "cosine":
            cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
            schedule = {"scheduler": cosine, "interval": "step"}
        case "onecycle":
            cycle = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, phase.learning_rate, steps + 1, pct_start=warmup
            )
            schedule = {"scheduler": cycle, "interval": "step"}
    return {"optimizer": optimiser, "lr_scheduler": schedule}


def _optimiser(network: nn.Module, phase: PhaseParams) -> torch.optim.Optimizer:
    parameters = [p for p in network.parameters() if p.requires_grad]
    match phase.optimizer:
        case "adamw":
            return torch.optim.AdamW(_decay_groups(parameters, phase), lr=phase.learning_rate)
        case "adam":
            return torch.optim.Adam(parameters, lr=phase.learning_rate)
        case "adamw8bit":
            from bitsandbytes.optim import AdamW8bit

            eight_bit: torch.optim.Optimizer = AdamW8bit(
                _decay_groups(parameters, phase), lr=phase.learning_rate
            )
            return eight_bit
        case "muon":
            from timm.optim.muon import Muon

            muon: torch.optim.Optimizer = Muon(
                _muon_groups(network, parameters, phase), lr=phase.learning_rate, nesterov=True
            )
            return muon


def _muon_groups(
    network: nn.Module, parameters: list[nn.Parameter], phase: PhaseParams
) -> list[dict[str, Any]]:
    """Return `parameters` as groups: weights of linear layers for Muon, all others for NAdamW.

    Embeddings are tables of vectors, no matrices that vectors are multiplied by, also where the
    output layer shares them (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural
    networks"). Unlike there, output layers with weights of their own are Muon's too. timm gives
    matrices with a side below 4 to NAdamW.
    """
    linear, tables = (
        {id(module.weight) for module in network.modules() if isinstance(module, kind)}
        for kind in (nn.Linear, nn.Embedding)
    )
    hidden = linear - tables
    matrices = [p for p in parameters if id(p) in hidden]
    others = [p for p in parameters if id(p) not in hidden]
    by_muon = {"params": matrices, "weight_decay": phase.weight_decay}
    by_nadamw = [group | {"use_fallback": True} for group in _decay_groups(others, phase)]
    return [by_muon, *by_nadamw] if matrices else by_nadamw


def _decay_groups(parameters: list[nn.Parameter], phase: PhaseParams) -> list[dict[str, Any]]:
    """Return parameter groups in which only matrices and kernels decay.

    Biases and the scales of normalisation layers are vectors. Weight decay would pull them towards
    zero, which limits no capacity and slows training (Loshchilov and Hutter decay all of them;
    He et al., "Bag of Tricks for Image Classification", 2019, section 3.1, spare them).
    """
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": phase.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
