"""Evaluation of a fine-tuned system on the test lines: predictions, metrics, speed.

Every line counts; one that the system cannot read in full counts as the system reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.progress import Progress
from torch import nn

from netchu.core.files import new_folder, write_json
from netchu.core.params import Params
from netchu.evaluation.eval_subset import PREDICTION_COLUMNS, load_eval_subset
from netchu.evaluation.latency import measure_speed
from netchu.evaluation.metrics.rates import DIGITS
from netchu.evaluation.metrics.summary import summarise_predictions
from netchu.evaluation.metrics_io import write_metrics
from netchu.models.base import Recogniser, Transcribe
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, weight_files
from netchu.models.transcription import read_lines


def evaluate_system(params: Params, system: str, out: Path) -> dict[str, Any]:
    """Evaluate the fine-tuned `system`; write `predictions.parquet` and `metrics.json` into `out`.

    `out` is replaced as a whole. Both files are reproducible: they hold no time and nothing of the
    machine. Returns the metrics.
    """
    params.system(system)  # an unknown system is an error that lists the known ones
    folder = params.model_folder(system, "finetune")
    recogniser = load_finetuned(params, system)
    lines = load_eval_subset(params)
    lines = lines[lines["level"].isin(recogniser.levels)].reset_index(drop=True)
    variants = recogniser.variants()
    predictions = _predict(params, system, recogniser, variants, lines)
    main = next(iter(variants))
    summaries = {
        variant: summarise_predictions(
            predictions[predictions["variant"] == variant],
            params.evaluate.datasets,
            params.evaluate.resamples,
            params.seed,
            recogniser.looped,
            details=variant == main,
        )
        for variant in variants
    }
    metrics: dict[str, Any] = {
        "system": system,
        "profile": params.profile,
        "seed": params.seed,
        "note": params.system(system).note,
        "hub_note": recogniser.hub_note,
        "size_mb": size_mb(folder),
        "memory_mb": memory_mb(recogniser),
        "parameters": count_parameters(recogniser),
        "training": read_card(folder)["training"],
        "main": main,
        **summaries[main],
        "variants": {name: summary for name, summary in summaries.items() if name != main},
    }
    with new_folder(out) as partial:
        predictions.to_parquet(partial / "predictions.parquet", index=False)
        write_metrics(metrics, partial / "metrics.json")
    return metrics


def time_system(params: Params, system: str, out: Path) -> dict[str, Any]:
    """Time the fine-tuned `system` on its first test lines; write `speed.json` to `out`.

    These numbers differ from run to run, so they are not in `metrics.json`. Returns them.
    """
    recogniser = load_finetuned(params, system)
    lines = load_eval_subset(params)
    lines = lines[lines["level"] == "line"]
    speed = measure_speed(recogniser, lines, params.evaluate.latency_lines)
    speed["isa"] = params.compute.isa
    write_json(speed, out)
    return speed


def load_finetuned(params: Params, system: str) -> Recogniser:
    """Load the fine-tuned recogniser of a system onto the profile's device."""
    recogniser = load_model(params.model_folder(system, "finetune"))
    accelerator = params.trainer.accelerator
    cuda = accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    recogniser.to("cuda" if cuda else "cpu")
    return recogniser


def _predict(
    params: Params,
    system: str,
    recogniser: Recogniser,
    variants: dict[str, Transcribe],
    lines: pd.DataFrame,
) -> pd.DataFrame:
    """Read every line with every variant; rows are sorted by variant, dataset and id."""
    known = lines.drop(columns="image")
    parts = []
    with Progress() as progress:
        task = progress.add_task(f"reading with {system}", total=len(lines) * len(variants))
        for variant, read in variants.items():
            readings = read_lines(
                recogniser,
                lines,
                params.evaluate.batch_size,
                read,
                lambda number: progress.advance(task, number),
            )
            parts.append(
                known.assign(
                    variant=variant,
                    reading=[reading.text for reading in readings],
                    confidence=[round(reading.confidence, DIGITS) for reading in readings],
                )
            )
    predictions = pd.concat(parts, ignore_index=True)
    predictions = predictions.sort_values(["variant", "dataset", "id"])
    return predictions[PREDICTION_COLUMNS]


def size_mb(folder: Path) -> float:
    """Return the size of the weight files in a model folder, in megabytes (10^6 bytes)."""
    return round(sum(p.stat().st_size for p in weight_files(folder)) / 1e6, 3)


def memory_mb(network: nn.Module) -> float:
    """Return the memory of weights and buffers in megabytes (10^6 bytes), without activations."""
    tensors = [*network.parameters(), *network.buffers()]
    return round(sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6, 3)


def count_parameters(network: nn.Module) -> int:
    """Return the number of parameters; a packed 4-bit tensor counts with its unpacked shape."""
    total = 0
    for parameter in network.parameters():
        packed = getattr(parameter, "quant_state", None)
        total += packed.shape.numel() if packed is not None else parameter.numel()
    return total
