"""K-fold training: every training line is held out once, and the best fold is kept."""

from __future__ import annotations

import copy
from pathlib import Path

import jiwer
import numpy as np
import pandas as pd

from netchu.core.params import Params, PhaseParams
from netchu.models.base import Recogniser
from netchu.models.transcription import read_lines
from netchu.training.monitor import Instruments
from netchu.training.phase import PhaseResult, fit_phase, validation_lines


def assign_folds(lines: pd.DataFrame, folds: int, seed: int) -> pd.Series:
    """Return the fold (0 … folds-1) of every line. A writer's lines, or a text's, share one."""
    groups = lines["writer"].where(lines["writer"] != "", "text " + lines["text"])
    names = np.array(sorted(groups.unique()))
    order = np.random.default_rng(seed).permutation(len(names))
    place = {str(name): int(order[i]) % folds for i, name in enumerate(names)}
    return groups.map(place)


def fit_best_fold(
    recogniser: Recogniser,
    lines: pd.DataFrame,
    phase: PhaseParams,
    params: Params,
    folder: Path,
    seed: int,
    instruments: Instruments | None = None,
) -> PhaseResult:
    """Train once per fold from the same start; keep the fold with the lowest CER on the val split.

    For each fold, the training lines outside it train and those inside it choose the epoch. The
    val split then compares the folds; none of them has used it.
    """
    train = lines["split"] == "train"
    fold_of = assign_folds(lines[train], phase.folds, seed)
    results = []
    for fold in range(phase.folds):
        table = lines[train].copy()
        table["split"] = np.where(fold_of == fold, "val", "train")
        start = copy.deepcopy(recogniser)
        name = f"fold{fold}"
        results.append(
            fit_phase(
                start, table, phase, params, folder / name, seed + fold, instruments, f"{name}/"
            )
        )
    val = validation_lines(lines, phase)
    scores = [_cer(result.recogniser, val, phase) for result in results]
    chosen = results[int(np.argmin(scores))]
    chosen.fold_cers = scores
    chosen.seconds = sum(result.seconds for result in results)
    return chosen


def _cer(recogniser: Recogniser, lines: pd.DataFrame, phase: PhaseParams) -> float:
    texts = [reading.text for reading in read_lines(recogniser, lines, phase.batch_size)]
    return float(jiwer.cer(lines["text"].tolist(), texts))
