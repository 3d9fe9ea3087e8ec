"""Fine-tuning of an exported model on a user's own lines, for `netchu train`."""

from __future__ import annotations

import copy
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
from netchu.core.files import hash_file
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
from netchu.data.parse.handwriting import csv
from netchu.data.splits import split_writers
from netchu.decoding.beam import BLANK
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.evaluation.metrics.bootstrap import bootstrap_groups
from netchu.evaluation.metrics.edits import score_lines
from netchu.evaluation.metrics.rates import summarise
from netchu.imaging.images import decode, encode
from netchu.imaging.preparation import prepared_width
from netchu.inference.exported_card import SCALES
from netchu.inference.exported_model import SHIPPED_MODEL
from netchu.inference.segmentation.line_boxes import crop_single_line
from netchu.models.base import Recogniser
from netchu.models.ctc import CTCRecogniser
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, weights_hash
from netchu.models.transcription import read_lines
from netchu.release.calibration import fit_calibration
from netchu.release.general_lines import general_lines
from netchu.release.onnx_export import export_recogniser, round_weights
from netchu.training.data_module import LineDataModule
from netchu.training.phase import PhaseResult, fit_phase, validation_lines

Rates = dict[str, float | int]
"""Rates with intervals, from `summarise`."""

MIN_GROUPS = 10
"""Fewest different texts to train on, and fewest writers to hold out some of them."""

HELD_OUT_SHARE = 0.15
"""Share of the lines for validation, and share for testing."""

LEARNING_RATE = 5e-4
"""A fraction of that of the first training, so that the model forgets little."""

MIN_CALIBRATION_LINES = 50
"""Fewest validation lines to which the confidences are fitted."""

SEED = 0
MAX_EPOCHS = 10
MAX_PASSES = 40
"""Largest number of times that a line is used, however much time there is."""

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the way from the weights of the starting model to the trained ones."""

MAX_GENERAL_LOSS = 0.01
"""Most by which the CER of generated lines may rise."""

GENERAL_LINES = 64
"""Generated lines to choose the share by; as many others are for the result."""

TIMED_STEPS = 8
TRAINING_SHARE = 0.6
"""Share of the given minutes for training; the rest is for validation and export."""


@dataclass(frozen=True)
class FineTuning:
    """The result of fine-tuning.

    Attributes:
        lines: number of lines by split.
        letters: letters that were added to the alphabet.
        skipped: rows of the table that were left out, with the reason.
        before: rates of the starting model on the test lines.
        after: rates of the new model on them.
        general_before: rates of the starting model on generated lines, which stand for the
            handwriting of others.
        general_after: rates of the new model on them.
        share: share of the change of the weights by training that the new model has.
    """

    lines: dict[str, int]
    letters: str
    skipped: list[Skipped]
    before: Rates
    after: Rates
    general_before: Rates
    general_after: Rates
    share: float

    @property
    def forgets(self) -> bool:
        """Whether generated lines are read worse by more than a point."""
        return self.general_after["cer"] - self.general_before["cer"] > MAX_GENERAL_LOSS


def fine_tune(
    table: Path,
    out: Path,
    *,
    images: Path | None = None,
    model: Path | None = None,
    minutes: float = 10.0,
) -> FineTuning:
    """Train a model on the lines of a CSV table, and export it to `out`.

    What is exported lies between the weights of the starting model and the trained ones, so that
    the handwriting of others is not forgotten. Nothing is written if there is an error.

    Args:
        table: CSV in UTF-8 with the columns `image,label[,writer]`.
        out: the new folder, which `Reader` and `fine_tune` accept as a model.
        images: folder that the image paths are relative to; by default that of the table.
        model: folder of the model to start from; by default the one of the package.
        minutes: about how long to train at most.

    Raises:
        NetchuError: the table is damaged or too small, `out` exists, the model cannot be trained,
            or training did not lower the CER of the validation lines, or only at the cost of the
            handwriting of others.
    """
    if out.exists():
        raise NetchuError(f"{out} exists already; remove it or name another folder")
    start = model or SHIPPED_MODEL
    card = read_card(start)
    old = load_model(start, card["alphabet"])
    if not isinstance(old, CTCRecogniser):
        raise NetchuError(f"{start}: {old.network} cannot be fine-tuned; name a model with CTC")
    lines, skipped = load_table(table, images, old)
    letters = "".join(sorted(set().union(*lines["text"]) - set(old.alphabet)))
    general = general_lines(2 * GENERAL_LINES, SEED, old.alphabet)
    trained = extend_alphabet(old, letters)
    phase = _phase(trained, lines, minutes)
    result = _fit(trained, lines, phase, out)
    val = validation_lines(lines, phase)
    share, new = _choose_share(
        extend_alphabet(old, letters), trained, val, general[:GENERAL_LINES], table
    )
    test = lines[lines["split"] == "test"].reset_index(drop=True)
    before, after = _rates(old, test), _rates(new, test)
    others = general[GENERAL_LINES:].reset_index(drop=True)
    general_before, general_after = _rates(old, others), _rates(new, others)
    additions = {
        "provenance": {
            "seed": SEED,
            "table": hash_file(table),
            "started_from": weights_hash(start),
        },
        "training": [
            *card.get("training", []), result.summary() | {"stage": "adapt", "share": share},
        ],
        "figures": {
            "before": before, "after": after,
            "general_before": general_before, "general_after": general_after,
        },
    }  # fmt: skip
    language_model = start / LANGUAGE_MODEL if (start / LANGUAGE_MODEL).is_file() else None
    confidences = _fit_confidences(new, val, language_model, card)
    temperature = confidences["temperature"]
    export_recogniser(new, out, additions | confidences, val, temperature, language_model)
    write_skipped(skipped, out)
    counts = {str(split): int(count) for split, count in lines["split"].value_counts().items()}
    return FineTuning(counts, letters, skipped, before, after, general_before, general_after, share)


def _fit_confidences(
    recogniser: CTCRecogniser, val: pd.DataFrame, language_model: Path | None, card: dict[str, Any]
) -> dict[str, Any]:
    """Fit temperature and scalings to the validation lines; if there are few, keep the old ones."""
    if len(val) < MIN_CALIBRATION_LINES:
        kept = {name: card[name] for name in ("temperature", SCALES) if name in card}
        return {"temperature": 1.0} | kept
    return fit_calibration(recogniser, val, language_model).card()


def _choose_share(
    start: CTCRecogniser,
    trained: CTCRecogniser,
    val: pd.DataFrame,
    general: pd.DataFrame,
    table: Path,
) -> tuple[float, CTCRecogniser]:
    """Return the share of the training that reads the validation lines best, and its network.

    Shares with which generated lines are read worse by more than `MAX_GENERAL_LOSS` are left out;
    of equal ones the largest is chosen. The network has the weights that are exported.

    Raises:
        NetchuError: no share lowers the CER of the validation lines.
    """
    before, general_limit = _cer(start, val), _cer(start, general) + MAX_GENERAL_LOSS
    best: tuple[float, float, CTCRecogniser] | None = None
    lowest = float("inf")
    for share in SHARES:
        network = round_weights(interpolate_weights(start, trained, share))
        cer = _cer(network, val)
        lowest = min(lowest, cer)
        if (
            cer < before
            and (not best or cer <= best[0])
            and _cer(network, general) <= general_limit
        ):
            best = cer, share, network
    if best:
        return best[1:]
    if not lowest < before:
        raise NetchuError(
            f"{table}: training did not help ({percent(before)} CER before, {percent(lowest)} "
            f"after, on the {len(val)} validation lines), so nothing is written; check the labels "
            "or add lines"
        )
    raise NetchuError(
        f"{table}: training helps on its lines, but generated lines, which stand for the "
        f"handwriting of others, are read worse by more than {percent(MAX_GENERAL_LOSS)}, so "
        "nothing is written; check the labels or add lines"
    )


def interpolate_weights(
    start: CTCRecogniser, trained: CTCRecogniser, share: float
) -> CTCRecogniser:
    """Return a network between two with equal configs; 0 is `start` and 1 is `trained`.

    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models".
    """
    mixed, old = copy.deepcopy(start), start.state_dict()
    mixed.load_state_dict(
        {name: torch.lerp(old[name], new, share) if new.is_floating_point() else new
         for name, new in trained.state_dict().items()}
    )  # fmt: skip
    return mixed


def load_table(
    table: Path, images: Path | None, recogniser: Recogniser
) -> tuple[pd.DataFrame, list[Skipped]]:
    """Return the lines of a table that `recogniser` can be trained on, with their splits.

    Lines are held out by writer if the table names at least ten writers, else by text.

    Returns:
        The lines, and the rows that were left out.

    Raises:
        NetchuError: the table is damaged, or too few different lines are left.
    """
    skipped: list[Skipped] = []
    lines = list(_usable(table, images, recogniser, skipped))
    writers = {line.writer for line in lines} - {""}
    by_writer = len(writers) >= MIN_GROUPS
    groups = [line.writer if by_writer and line.writer else f"text {line.text}" for line in lines]
    if len(set(groups)) < MIN_GROUPS:
        reasons = f" ({skipped[0].id}: {skipped[0].reason})" if skipped else ""
        raise NetchuError(
            f"{table}: {len(set(groups))} lines with different texts are too few to train on, "
            f"{len(skipped)} more were left out{reasons}; at least {MIN_GROUPS} are needed"
        )
    shares = DatasetParams("csv", str(table), val_share=HELD_OUT_SHARE, test_share=HELD_OUT_SHARE)
    splits = split_writers(groups, shares, SEED)
    rows = (replace(line, split=splits[group]) for line, group in zip(lines, groups, strict=True))
    return pd.DataFrame(map(asdict, rows)), skipped


def _usable(
    table: Path, images: Path | None, recogniser: Recogniser, skipped: list[Skipped]
) -> Iterator[Line]:
    """Yield the lines that can be trained on, with any letters; append the others to `skipped`."""
    seen: dict[bytes, str] = {}
    for line in csv.parse(table, images=images):
        if isinstance(line, Skipped):
            skipped.append(line)
            continue
        line = _cropped(line)
        width = prepared_width(line.width, line.height, recogniser.preprocessing)
        if not line.text.isprintable():
            skipped.append(Skipped(line.id, f"not printable: {line.text!r}"))
        elif reason := recogniser.rejection_reason(line.text, width):
            skipped.append(Skipped(line.id, reason))
        elif (first := seen.setdefault(line.image, line.id)) != line.id:
            skipped.append(Skipped(line.id, f"repeated image: {first}"))
        else:
            yield line


def _cropped(line: Line) -> Line:
    """Crop a line out of a photo with wide margins, as `Reader` does."""
    crop_HW, box = crop_single_line(decode(line.image, line.id))
    if box == (0, 0, line.width, line.height):
        return line
    height, width = crop_HW.shape
    return replace(line, image=encode(crop_HW), width=width, height=height)


def extend_alphabet(recogniser: CTCRecogniser, letters: str) -> CTCRecogniser:
    """Return a copy of `recogniser` whose alphabet also has `letters`.

    They come at the end of the alphabet, so the old letters keep their classes. The weights of a
    new letter are the mean of those of the old ones, so it is as probable as they are.

    The copy is in evaluation mode and is trained in it: the statistics of a few lines are worse
    than those that BatchNorm has.
    """
    recogniser_class, alphabet = type(recogniser), recogniser.alphabet + letters
    larger = recogniser_class(recogniser_class.without_pretrained(recogniser.config), alphabet)
    old = recogniser.state_dict()
    larger.load_state_dict(
        {name: _with_rows(old[name], len(new)) if new.ndim else old[name]
         for name, new in larger.state_dict().items()}
    )  # fmt: skip
    return larger.eval()


def _with_rows(weights: torch.Tensor, number: int) -> torch.Tensor:
    """Append rows of the mean of `weights`, less that of the blank, until there are `number`."""
    missing = number - len(weights)
    if not missing:
        return weights
    mean = weights[BLANK + 1 :].mean(0, keepdim=True)
    return torch.cat([weights, mean.repeat_interleave(missing, 0)])


def _phase(recogniser: Recogniser, lines: pd.DataFrame, minutes: float) -> PhaseParams:
    """Return a phase of as many steps as the time allows and the number of lines justifies."""
    train = lines[lines["split"] == "train"].reset_index(drop=True)
    phase = PhaseParams(
        ("csv",), MAX_EPOCHS, TIMED_STEPS, batch_size=8, learning_rate=LEARNING_RATE,
        augmentation_strength=(0.4, 0.4),
    )  # fmt: skip
    once = len(frame_batches(train, recogniser.preprocessing, phase.batch_size))
    affordable = TRAINING_SHARE * 60 * minutes / _seconds_per_step(recogniser, train, phase)
    steps = min(MAX_PASSES * once, max(1, int(affordable)))
    epochs = min(MAX_EPOCHS, steps)
    return replace(phase, epochs=epochs, steps_per_epoch=steps // epochs)


def _seconds_per_step(recogniser: Recogniser, train: pd.DataFrame, phase: PhaseParams) -> float:
    """Measure forward and backward passes on a copy, over batches of the phase."""
    data = LineDataModule(
        train, plan_items(train, phase.concat_prob, SEED), train, recogniser.preprocessing,
        batch_size=phase.batch_size, steps_per_epoch=phase.steps_per_epoch, epochs=phase.epochs,
        augmentation_strength=phase.augmentation_strength, seed=SEED,
    )  # fmt: skip
    timed = copy.deepcopy(recogniser)
    seconds = []
    since = time.perf_counter()
    for batch in data.train_dataloader():
        timed.loss(batch).backward()  # type: ignore[no-untyped-call]
        seconds.append(time.perf_counter() - since)
        since = time.perf_counter()
    return sum(seconds[1:]) / len(seconds[1:])  # the first one also warms up


def _fit(recogniser: Recogniser, lines: pd.DataFrame, phase: PhaseParams, out: Path) -> PhaseResult:
    """Train on the CPU, with temporary checkpoints.

    They are beside `out`, so that a folder that is not writable is an error before the training.
    """
    params = Params(
        profile="adapt", seed=SEED, compute=ComputeParams(workers=0), trainer=TrainerParams(),
        sources={}, synthetic={}, datasets={}, systems={}, evaluate=EvaluateParams(()),
    )  # fmt: skip
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent)
    except OSError as error:
        raise NetchuError(f"{out} cannot be written ({error.strerror}); name another") from None
    # Lightning prints its progress on stdout, which is for the result, and warns of the mode.
    with scratch as folder, redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fit_phase(recogniser, lines, phase, params, Path(folder), SEED)
        except SystemExit as error:  # Lightning turns Ctrl-C into it
            raise KeyboardInterrupt from error


def _scores(recogniser: Recogniser, lines: pd.DataFrame) -> pd.DataFrame:
    texts = [reading.text for reading in read_lines(recogniser, lines, batch_size=16)]
    return score_lines(lines["text"].tolist(), texts)


def _cer(recogniser: Recogniser, lines: pd.DataFrame) -> float:
    scores = _scores(recogniser, lines)
    return float(scores["edits"].sum() / scores["characters"].sum())


def _rates(recogniser: Recogniser, lines: pd.DataFrame) -> Rates:
    return summarise(_scores(recogniser, lines), bootstrap_groups(lines), 1000, SEED)
