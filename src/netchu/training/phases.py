"""The training of one stage: its phases in order, resumable, and the same bytes every time.

Checkpoints live outside the stage's output (DVC empties that before a run) in a folder named by
what they depend on: parameters, lines and code. A run that was killed finds them and goes on;
one that changed any of the three does not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from netchu.core import fingerprints
from netchu.core.files import write_json
from netchu.core.params import Params, PhaseParams, parse_config
from netchu.core.paths import CHECKPOINTS
from netchu.core.runtime import is_main_process
from netchu.core.text import ALPHABET
from netchu.data.line_table import Skipped, fingerprint, read_table, write_skipped
from netchu.imaging.images import prepared_width
from netchu.models import network_class
from netchu.models.base import Recogniser
from netchu.models.model_folder import load_model, read_card, save_model, weights_hash
from netchu.training.folds import best_fold
from netchu.training.loop import PhaseResult, fit, phase_preprocessing


def train(params: Params, system: str, stage: str) -> Path:
    """Run `stage` (pretrain or finetune) of `system`; return its model directory.

    Beside the directory lies `<stage>.cost.json`: the seconds it took, apart from the model so
    that the model's bytes do not depend on the clock.
    """
    settings = params.system(system)
    phases = settings.pretrain if stage == "pretrain" else settings.finetune
    data = {name: fingerprint(params.lines / name) for phase in phases for name in phase.datasets}
    start = params.model_folder(settings.start or system, "pretrain")
    # Lightning leaves a network in the mode it finds, and a loaded one is ready to read.
    recogniser = (fresh(params, system) if stage == "pretrain" else load_model(start)).train()
    before = recogniser.origin() if stage == "pretrain" else start
    card: dict[str, Any] = {
        "stage": stage,
        "provenance": {
            "seed": params.seed,
            "profile": params.profile,
            "data": data,
            "pretrained": weights_hash(before) if before else "",
        },
    }
    scratch = CHECKPOINTS / params.profile / system / stage / _key(params, system, stage, card)
    results: list[PhaseResult] = []
    skipped: list[Skipped] = []
    for number, phase in enumerate(phases):
        lines = _lines(params, phase)
        if number == 0:
            recogniser.fit_to(lines["text"].tolist())
        kept, left_out = fitting_lines(recogniser, lines, phase)
        skipped += left_out
        folder = scratch / f"phase{number}"
        seed = _seed(params.seed, params.network(system), stage, number)
        runner = best_fold if phase.folds > 1 else fit
        result = runner(recogniser, kept, phase, params, folder, seed)
        recogniser = result.recogniser
        results.append(result)
    out = params.model_folder(system, stage)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # no process may still be reading checkpoints
    if is_main_process():
        _write(recogniser, results, skipped, card, out, before)
        shutil.rmtree(CHECKPOINTS / params.profile / system / stage, ignore_errors=True)
    return out


def fresh(params: Params, system: str) -> Recogniser:
    """A recogniser with its first weights: drawn by the seed, or those that its config names."""
    network = params.network(system)
    kind = network_class(network)
    config = parse_config(
        kind.config_class, params.system(system).model, f"params.yaml systems.{system}.model"
    )
    torch.manual_seed(_seed(params.seed, network, "first", 0))
    return kind(config, ALPHABET)


def fitting_lines(
    recogniser: Recogniser, lines: pd.DataFrame, phase: PhaseParams
) -> tuple[pd.DataFrame, list[Skipped]]:
    """Split `lines` into those the network can learn from and those it cannot, each with why."""
    how = phase_preprocessing(recogniser, phase)
    reasons = [
        recogniser.rejection_reason(text, prepared_width(width, height, how))
        for text, width, height in zip(lines["text"], lines["width"], lines["height"], strict=True)
    ]
    fits = [reason == "" for reason in reasons]
    left_out = [
        Skipped(line, reason) for line, reason in zip(lines["id"], reasons, strict=True) if reason
    ]
    return lines[fits].reset_index(drop=True), left_out


def _lines(params: Params, phase: PhaseParams) -> pd.DataFrame:
    tables = [read_table(params.lines / name) for name in phase.datasets]
    lines = pd.concat(tables, ignore_index=True)
    return lines[lines["level"].isin(phase.levels)].reset_index(drop=True)


def _seed(*parts: object) -> int:
    digest = hashlib.sha256(json.dumps([str(p) for p in parts]).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def _key(params: Params, system: str, stage: str, card: dict[str, Any]) -> str:
    """What a checkpoint depends on, in a few letters."""
    entry = fingerprints.PACKAGE / "models" / f"{params.network(system)}.py"
    parts = [
        fingerprints.fingerprint([Path(__file__), entry]),
        params.compute, params.trainer, params.systems[system], card,
    ]  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _write(
    recogniser: Recogniser,
    results: list[PhaseResult],
    skipped: list[Skipped],
    card: dict[str, Any],
    out: Path,
    before: Path | None,
) -> None:
    """Write the model directory whole or not at all, and the cost beside it."""
    partial = out.with_name(out.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    earlier = read_card(before)["training"] if before else []
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
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    seconds = round(sum(result.seconds for result in results), 1)
    write_json({"seconds": seconds}, out.with_name(out.name + ".cost.json"))
