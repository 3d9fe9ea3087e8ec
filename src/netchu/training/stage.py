"""The training of one stage: its phases in order, resumable, and the same bytes every time.

Checkpoints are outside the stage's output, which DVC empties before a run, in a folder named after
a hash of what they depend on: parameters, lines and code. A stage that was killed resumes from
them, unless one of the three has changed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder, new_folder, write_json
from netchu.core.params import Params, PhaseParams, parse_config
from netchu.core.paths import CHECKPOINTS
from netchu.core.runtime import is_main_process
from netchu.core.text import ALPHABET
from netchu.data.line_table import Skipped, read_table, write_skipped
from netchu.data.stored_frames import frame_parts, select_rows, store_frames
from netchu.imaging.preparation import prepared_width
from netchu.models import network_class
from netchu.models.base import Recogniser
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, save_model, weights_hash
from netchu.training.folds import fit_best_fold
from netchu.training.monitor import TrainingMonitor
from netchu.training.phase import PhaseResult, fit_phase, phase_preprocessing
from netchu.training.stage_info import code_fingerprint, cost_file, stage_phases


def train_stage(
    params: Params, system: str, stage: str, monitor: TrainingMonitor | None = None
) -> Path:
    """Train `system` in all phases of a stage, pretrain or finetune.

    The seconds it took are written to `<stage>.cost.json` beside the model folder, so that no byte
    of the model depends on the clock.

    Args:
        params: of the profile.
        system: a system of the profile.
        stage: pretrain or finetune.
        monitor: watches the training.

    Returns:
        The model folder.

    Raises:
        NetchuError: a line table or the pretrained model is missing, a split is empty, or the
            parameters do not suit the network.
    """
    settings = params.system(system)
    phases = stage_phases(params, system, stage)
    start = params.model_folder(settings.start or system, "pretrain")
    # Lightning keeps the mode of a network, and a loaded one is in evaluation mode.
    recogniser = (
        build_recogniser(params, system) if stage == "pretrain" else load_model(start)
    ).train()
    _check_frozen_parts(recogniser, params, system)
    origin = recogniser.origin() if stage == "pretrain" else start
    data = {name: hash_folder(params.lines / name) for phase in phases for name in phase.datasets}
    card: dict[str, Any] = {
        "stage": stage,
        "provenance": {
            "seed": params.seed,
            "profile": params.profile,
            "data": data,
            "pretrained": weights_hash(origin) if origin else "",
        },
    }
    checkpoints = CHECKPOINTS / params.profile / system / stage
    folder = checkpoints / _resume_key(params, system, card)
    if monitor:
        monitor.begin(folder)
    results: list[PhaseResult] = []
    skipped: list[Skipped] = []
    steps = 0
    for number, phase in enumerate(phases):
        lines = phase_lines(params, phase)
        if number == 0:
            recogniser.configure_for(lines["text"])
        kept, rejected = split_trainable(recogniser, lines, phase)
        skipped += rejected
        seed = _seed(params.seed, params.network(system), stage, number)
        fit = fit_best_fold if phase.folds > 1 else fit_phase
        instruments = partial(monitor.instruments, steps) if monitor else None
        result = fit(recogniser, kept, phase, params, folder / f"phase{number}", seed, instruments)
        steps += result.steps
        recogniser = result.recogniser
        results.append(result)
    out = params.model_folder(system, stage)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # no process may still be reading checkpoints
    if is_main_process():
        _write(recogniser, results, skipped, card, out, origin)
        shutil.rmtree(checkpoints, ignore_errors=True)
    return out


def build_recogniser(params: Params, system: str) -> Recogniser:
    """Return a recogniser with its first weights: drawn by the seed, or pretrained ones."""
    network = params.network(system)
    recogniser_class = network_class(network)
    config = parse_config(
        recogniser_class.config_class,
        params.system(system).model,
        f"params.yaml systems.{system}.model",
    )
    torch.manual_seed(_seed(params.seed, network, "first", 0))
    return recogniser_class(config, ALPHABET)


def _check_frozen_parts(recogniser: Recogniser, params: Params, system: str) -> None:
    """Raise now what would otherwise stop a later phase, perhaps hours from now."""
    settings = params.system(system)
    for stage, phases in (("pretrain", settings.pretrain), ("finetune", settings.finetune)):
        for name, phase in phases.items():
            try:
                if phase.freeze:
                    recogniser.part(phase.freeze)
            except NetchuError as error:
                key = f"systems.{system}.{stage}.{name}.freeze"
                raise NetchuError(f"params.yaml {key}: {error}") from None


def split_trainable(
    recogniser: Recogniser, lines: pd.DataFrame, phase: PhaseParams
) -> tuple[pd.DataFrame, list[Skipped]]:
    """Return the lines that the network can learn from, and the others with the reason."""
    preprocessing = phase_preprocessing(recogniser, phase)
    accepted = np.ones(len(lines), np.bool_)
    rejected = []
    columns = lines[["id", "text", "width", "height"]]
    rows = (part.itertuples(index=False, name=None) for part in frame_parts(columns))
    for row, (line, text, width, height) in enumerate(chain.from_iterable(rows)):
        width = prepared_width(width, height, preprocessing)
        if reason := recogniser.rejection_reason(text, width):
            accepted[row] = False
            rejected.append(Skipped(line, reason))
    return select_rows(lines, accepted), rejected


def phase_lines(params: Params, phase: PhaseParams) -> pd.DataFrame:
    """Return the lines of a phase's datasets and levels, with the weights of the datasets."""
    weights = phase.dataset_weights
    return store_frames(
        part.assign(weight=float(weights.get(name, 1.0)))
        for name in phase.datasets
        for part in frame_parts(read_table(params.lines / name, where={"level": phase.levels}))
    )


def _seed(*parts: object) -> int:
    digest = hashlib.sha256(json.dumps([str(p) for p in parts]).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def _resume_key(params: Params, system: str, card: dict[str, Any]) -> str:
    """Return a short hash of all that the bytes of a checkpoint depend on."""
    parts = [
        code_fingerprint(params.network(system)),
        # Not `workers`: the same lines are drawn by any number of processes.
        params.compute.threads, params.compute.isa, params.trainer, params.systems[system], card,
    ]  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _write(
    recogniser: Recogniser,
    results: list[PhaseResult],
    skipped: list[Skipped],
    card: dict[str, Any],
    out: Path,
    origin: Path | None,
) -> None:
    """Write the model folder, and the cost beside it."""
    with new_folder(out) as partial:
        earlier = read_card(origin)["training"] if origin else []
        training = [result.summary() | {"stage": card["stage"]} for result in results]
        save_model(recogniser, partial, card | {"training": earlier + training})
        write_skipped(skipped, partial)
        history = [
            {"stage": card["stage"], "phase": number} | row
            for number, result in enumerate(results)
            for row in result.history
        ]
        columns = ["stage", "phase", "epoch", "step", "train_loss", "val_loss", "val_cer",
                   "learning_rate"]  # fmt: skip
        pd.DataFrame(history, columns=columns).to_csv(
            partial / "history.csv", index=False, float_format="%.6g", lineterminator="\n"
        )
    seconds = round(sum(result.seconds for result in results), 1)
    write_json({"seconds": seconds}, cost_file(out))
