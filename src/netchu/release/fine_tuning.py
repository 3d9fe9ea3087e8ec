"""Going on with a trained recogniser on one's own lines: `netchu train`."""

from __future__ import annotations

import copy
import hashlib
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from netchu.core.errors import NetchuError
from netchu.core.formatting import percent
from netchu.core.params import (
    ComputeParams,
    DatasetParams,
    EvaluateParams,
    Params,
    PhaseParams,
    TrainerParams,
)
from netchu.data.batches import frame_batches, plan_items
from netchu.data.line_table import Line, Skipped, write_skipped
from netchu.data.parse import csv
from netchu.data.splits import split_writers
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.evaluation.metrics.bootstrap import bootstrap_groups
from netchu.evaluation.metrics.edits import score_lines
from netchu.evaluation.metrics.rates import summarise
from netchu.imaging.preparation import prepared_width
from netchu.inference.exported_model import SCALES, SHIPPED_MODEL
from netchu.models.base import Recogniser
from netchu.models.ctc import CTCRecogniser
from netchu.models.model_folder import load_model, read_card, weights_hash
from netchu.models.transcription import read_lines
from netchu.release.confidences import calibrated
from netchu.release.export import export, rounded
from netchu.training.data_module import LineDataModule
from netchu.training.loop import PhaseResult, fit_phase, validation_lines

Rates = dict[str, float | int]
"""What `metrics.summarise` gives."""

LEAST = 10
"""Different texts that can be learned from; and hands, that a part of them can be held out."""

HELD_OUT = 0.15
"""Share that chooses the epoch, and share that the figures are measured on."""

LEARNING_RATE = 5e-4
"""A fraction of that of the first training, so that what was learned there is kept."""

CALIBRATING = 50
"""Validation lines from which on confidences are fitted to them anew."""

SEED = 0
EPOCHS = 10
PASSES = 40
"""More often no line is shown, however much time there is."""

TIMED_STEPS = 8
SPARE = 0.6
"""Of the minutes given, what training may take; validation and export need the rest."""


@dataclass(frozen=True)
class Adaptation:
    """What came of it.

    lines: how many by split. letters: those the alphabet lacked. skipped: rows left out. before,
    after: rates of the held-out lines.
    """

    lines: dict[str, int]
    letters: str
    skipped: list[Skipped]
    before: Rates
    after: Rates


def adapt(
    table: Path,
    out: Path,
    *,
    images: Path | None = None,
    model: Path | None = None,
    minutes: float = 10.0,
) -> Adaptation:
    """Train `model` (netchu's own by default) on the lines of a CSV table; write it to `out`.

    The table has columns `image,label[,writer]`; image paths are relative to `images`, or to the
    table's folder. `out` becomes a folder that `Reader` and `adapt` take as a model.

    Raises:
        NetchuError: the table is broken or too small, `out` exists, `model` cannot be trained, or
            training did not help; then nothing is written.
    """
    if out.exists():
        raise NetchuError(f"{out} is there already; remove it or name another folder to write to")
    start = model or SHIPPED_MODEL
    card = read_card(start)
    old = load_model(start, card["alphabet"])
    if not isinstance(old, CTCRecogniser):
        raise NetchuError(f"{start}: a {old.network} cannot be trained further; name a CTC model")
    lines, skipped = own_lines(table, images, old)
    letters = "".join(sorted(set().union(*lines["text"]) - set(old.alphabet)))
    new = extended(old, letters)
    phase = _phase(new, lines, minutes)
    result = _fit(new, lines, phase, out)
    val = validation_lines(lines, phase)
    _check_gain(_rates(old, val), result, table)
    new = rounded(new)
    test = lines[lines["split"] == "test"].reset_index(drop=True)
    before, after = _rates(old, test), _rates(new, test)
    told = {
        "provenance": {"seed": SEED, "table": _digest(table), "started_from": weights_hash(start)},
        "training": [*card.get("training", []), result.summary() | {"stage": "adapt"}],
        "figures": {"before": before, "after": after},
    }
    language_model = start / LANGUAGE_MODEL if (start / LANGUAGE_MODEL).is_file() else None
    sure = _confidences(new, val, language_model, card)
    export(new, out, told | sure, sure["temperature"], language_model)
    write_skipped(skipped, out)
    counts = {str(split): int(count) for split, count in lines["split"].value_counts().items()}
    return Adaptation(counts, letters, skipped, before, after)


def _confidences(
    recogniser: CTCRecogniser, val: pd.DataFrame, language_model: Path | None, card: dict[str, Any]
) -> dict[str, Any]:
    """Temperature and scales, fitted to the validation lines or, where these are few, the old."""
    if len(val) < CALIBRATING:
        kept = {name: card[name] for name in ("temperature", SCALES) if name in card}
        return {"temperature": 1.0} | kept
    return calibrated(recogniser, val, language_model).card()


def _check_gain(before: Rates, result: PhaseResult, table: Path) -> None:
    """Fail where the best epoch reads the validation lines no better than before."""
    if not result.val_cer < before["cer"]:
        raise NetchuError(
            f"{table}: training did not help ({percent(before['cer'])} CER before, "
            f"{percent(result.val_cer)} after, on the {before['lines']} lines that choose the "
            "epoch), so nothing is written; check the labels or give it more lines"
        )


def own_lines(
    table: Path, images: Path | None, recogniser: Recogniser
) -> tuple[pd.DataFrame, list[Skipped]]:
    """The table's lines that `recogniser` can learn from, with their splits; and the others.

    Lines are held out by writer where the table names ten of them, else by text.

    Raises:
        NetchuError: the table is broken, or too few different lines are left.
    """
    skipped: list[Skipped] = []
    lines = list(_usable(table, images, recogniser, skipped))
    writers = {line.writer for line in lines} - {""}
    by_writer = len(writers) >= LEAST
    groups = [line.writer if by_writer and line.writer else f"text {line.text}" for line in lines]
    if len(set(groups)) < LEAST:
        reasons = f" ({skipped[0].id}: {skipped[0].reason})" if skipped else ""
        raise NetchuError(
            f"{table}: {len(set(groups))} lines with different texts are too few to train on, "
            f"{len(skipped)} more were left out{reasons}; give at least {LEAST}"
        )
    shares = DatasetParams("csv", str(table), val_share=HELD_OUT, test_share=HELD_OUT)
    splits = split_writers(groups, shares, SEED)
    rows = (replace(line, split=splits[group]) for line, group in zip(lines, groups, strict=True))
    return pd.DataFrame(map(asdict, rows)), skipped


def _usable(
    table: Path, images: Path | None, recogniser: Recogniser, skipped: list[Skipped]
) -> Iterator[Line]:
    """The lines that can be learned from, whatever their letters; the others go to `skipped`."""
    seen: dict[bytes, str] = {}
    for line in csv.parse(table, images=images):
        if isinstance(line, Skipped):
            skipped.append(line)
            continue
        width = prepared_width(line.width, line.height, recogniser.preprocessing)
        if not line.text.isprintable():
            skipped.append(Skipped(line.id, f"not printable: {line.text!r}"))
        elif reason := recogniser.rejection_reason(line.text, width):
            skipped.append(Skipped(line.id, reason))
        elif (first := seen.setdefault(line.image, line.id)) != line.id:
            skipped.append(Skipped(line.id, f"repeated image: {first}"))
        else:
            yield line


def extended(recogniser: CTCRecogniser, letters: str) -> CTCRecogniser:
    """A copy of `recogniser` that can write `letters`, too.

    They stand at the end of its alphabet, so what the classes of old letters have learned stays
    theirs. A new letter starts as the mean of the old ones: no likelier than they are.

    It is in evaluation mode, and learns so: a few lines tell BatchNorm less than what it knows.
    """
    kind, alphabet = type(recogniser), recogniser.alphabet + letters
    larger = kind(kind.without_pretrained(recogniser.config), alphabet)
    old = recogniser.state_dict()
    larger.load_state_dict(
        {name: _with_rows(old[name], len(new)) if new.ndim else old[name]
         for name, new in larger.state_dict().items()}
    )  # fmt: skip
    return larger.eval()


def _with_rows(weights: torch.Tensor, number: int) -> torch.Tensor:
    """`weights` with rows of their mean below, until there are `number`; the blank's is no part."""
    missing = number - len(weights)
    if not missing:
        return weights
    mean = weights[CTCRecogniser.BLANK + 1 :].mean(0, keepdim=True)
    return torch.cat([weights, mean.repeat_interleave(missing, 0)])


def _phase(recogniser: Recogniser, lines: pd.DataFrame, minutes: float) -> PhaseParams:
    """As many steps as the time allows and the lines deserve."""
    train = lines[lines["split"] == "train"].reset_index(drop=True)
    phase = PhaseParams(
        ("csv",), EPOCHS, TIMED_STEPS, batch_size=8, learning_rate=LEARNING_RATE,
        augmentation_strength=(0.4, 0.4),
    )  # fmt: skip
    once = len(frame_batches(train, recogniser.preprocessing, phase.batch_size))
    affordable = SPARE * 60 * minutes / _seconds_per_step(recogniser, train, phase)
    steps = min(PASSES * once, max(1, int(affordable)))
    epochs = min(EPOCHS, steps)
    return replace(phase, epochs=epochs, steps_per_epoch=steps // epochs)


def _seconds_per_step(recogniser: Recogniser, train: pd.DataFrame, phase: PhaseParams) -> float:
    """Measured on a copy that learns nothing, over the phase's batches."""
    data = LineDataModule(
        train, plan_items(train, phase.concat_prob, SEED), train, recogniser.preprocessing,
        batch_size=phase.batch_size, steps_per_epoch=phase.steps_per_epoch, epochs=phase.epochs,
        augmentation_strength=phase.augmentation_strength, seed=SEED,
    )  # fmt: skip
    learner = copy.deepcopy(recogniser)
    seconds = []
    since = time.perf_counter()
    for batch in data.train_dataloader():
        learner.loss(batch).backward()  # type: ignore[no-untyped-call]
        seconds.append(time.perf_counter() - since)
        since = time.perf_counter()
    return sum(seconds[1:]) / len(seconds[1:])  # the first one also warms up


def _fit(recogniser: Recogniser, lines: pd.DataFrame, phase: PhaseParams, out: Path) -> PhaseResult:
    """Train on the CPU, with checkpoints that go when it is done.

    They lie where `out` will, so that a folder nobody may write to is found before, not after.
    """
    params = Params(
        profile="adapt", seed=SEED, compute=ComputeParams(), trainer=TrainerParams(), sources={},
        synthetic={}, datasets={}, systems={}, evaluate=EvaluateParams(()),
    )  # fmt: skip
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent)
    except OSError as error:
        raise NetchuError(f"{out} cannot be written ({error.strerror}); name another") from None
    # Lightning shows its progress on stdout, which is for what came of it, and warns of the mode.
    with scratch as folder, redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fit_phase(recogniser, lines, phase, params, Path(folder), SEED)
        except SystemExit as left:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from left


def _rates(recogniser: Recogniser, lines: pd.DataFrame) -> Rates:
    texts = [reading.text for reading in read_lines(recogniser, lines, batch_size=16)]
    scored = score_lines(lines["text"].tolist(), texts)
    return summarise(scored, bootstrap_groups(lines), 1000, SEED)


def _digest(table: Path) -> str:
    return hashlib.sha256(table.read_bytes()).hexdigest()
