"""K-fold training: every training line is held out once, and the best fold is kept."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
import pandas as pd

from netchu.core.params import Params, PhaseParams
from netchu.data.stored_frames import equal_to, frame_parts, select_rows, store_strings
from netchu.models.base import Recogniser
from netchu.models.transcription import read_lines
from netchu.training.monitor import Instruments
from netchu.training.phase import PhaseResult, fit_phase, validation_lines


def assign_folds(lines: pd.DataFrame, folds: int, seed: int) -> pd.Series:
    """Return the fold (0 … folds-1) of every line. A writer's lines, or a text's, share one."""
    names = sorted({name for part in frame_parts(lines) for name in _groups(part)})
    order = np.random.default_rng(seed).permutation(len(names))
    place = {name: int(order[i]) % folds for i, name in enumerate(names)}
    found = (place[name] for part in frame_parts(lines) for name in _groups(part))
    return pd.Series(np.fromiter(found, np.int32, len(lines)), lines.index)


def _groups(lines: pd.DataFrame) -> Iterator[str]:
    """Yield the writer of each line, or its text where the writer is unknown."""
    for writer, text in zip(lines["writer"], lines["text"], strict=True):
        yield writer or f"text {text}"


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
    train = select_rows(lines, equal_to(lines["split"], "train"))
    fold_of = assign_folds(train, phase.folds, seed).to_frame("fold")
    results = []
    for fold in range(phase.folds):
        splits = (np.where(part["fold"] == fold, "val", "train") for part in frame_parts(fold_of))
        table = train.assign(split=store_strings(part.tolist() for part in splits))
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
