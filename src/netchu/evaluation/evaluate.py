"""Reading the test lines with a trained system, and what came of it.

A line that a system cannot hold counts as it is read; none is dropped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.progress import Progress
from torch import nn

from netchu.core.files import write_json
from netchu.core.params import Params
from netchu.core.text import ends_in_loop
from netchu.evaluation.eval_subset import COLUMNS, MAIN, chosen_lines
from netchu.evaluation.latency import measure_speed
from netchu.evaluation.metrics.rates import DIGITS
from netchu.evaluation.metrics.summary import summaries
from netchu.evaluation.metrics_io import write_figures
from netchu.models.base import Recogniser
from netchu.models.model_folder import load_model, read_card, weight_files
from netchu.models.transcription import Transcribe, read_lines


def evaluate(params: Params, system: str, out: Path) -> dict[str, Any]:
    """Test the finetuned `system`; write `predictions.parquet` and `metrics.json` into `out`.

    Both hold nothing that changes between two runs of the same work. Returns the metrics.
    """
    folder = params.model_folder(system, "finetune")
    recogniser = load_for_reading(params, system)
    lines = chosen_lines(params)
    lines = lines[lines["level"].isin(recogniser.levels)].reset_index(drop=True)
    variants = variants_of(recogniser)
    predictions = _predict(params, system, recogniser, variants, lines)
    main = main_variant(list(variants))
    looped = getattr(recogniser, "looped", ends_in_loop)
    figures = {
        variant: summaries(
            predictions[predictions["variant"] == variant],
            params.evaluate.datasets,
            params.evaluate.resamples,
            params.seed,
            looped,
            details=variant == main,
        )
        for variant in variants
    }
    metrics: dict[str, Any] = {
        "system": system,
        "profile": params.profile,
        "seed": params.seed,
        "note": params.system(system).note,
        "hub_note": str(getattr(recogniser, "hub_note", "")),
        "size_mb": size_mb(folder),
        "memory_mb": memory_mb(recogniser),
        "parameters": count_parameters(recogniser),
        "training": read_card(folder)["training"],
        "main": main,
        **figures[main],
        "variants": {name: found for name, found in figures.items() if name != main},
    }
    out.mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(out / "predictions.parquet", index=False)
    write_figures(metrics, out / "metrics.json")
    return metrics


def measure(params: Params, system: str, out: Path) -> dict[str, Any]:
    """Time the finetuned `system` on its first test lines; write `speed.json` to `out`.

    These numbers differ from run to run, so they live apart from the metrics.
    """
    recogniser = load_for_reading(params, system)
    lines = chosen_lines(params)
    whole_lines = lines[lines["level"] == "line"]
    speed = measure_speed(recogniser, whole_lines, params.evaluate.latency_lines)
    speed["isa"] = params.compute.isa
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(speed, out)
    return speed


def load_for_reading(params: Params, system: str) -> Recogniser:
    """The finetuned recogniser of a system, on the profile's device."""
    recogniser = load_model(params.model_folder(system, "finetune"))
    wanted = params.trainer.accelerator
    cuda = wanted in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    recogniser.to("cuda" if cuda else "cpu")
    return recogniser


def variants_of(recogniser: Recogniser) -> dict[str, Transcribe]:
    """The ways a recogniser reads; most have one, a language model has guards to switch off."""
    variants = getattr(recogniser, "variants", None)
    return dict(variants()) if variants else {MAIN: recogniser.transcribe}


def main_variant(names: list[str]) -> str:
    """The variant that stands in the leaderboard."""
    return "guarded" if "guarded" in names else names[0]


def _predict(
    params: Params,
    system: str,
    recogniser: Recogniser,
    variants: dict[str, Transcribe],
    lines: pd.DataFrame,
) -> pd.DataFrame:
    """One row for each line and variant, by variant, dataset and id."""
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
    return predictions.sort_values(["variant", "dataset", "id"], ignore_index=True)[COLUMNS]


def size_mb(folder: Path) -> float:
    """Megabytes (10^6 bytes) of the weight files in a model folder."""
    return round(sum(p.stat().st_size for p in weight_files(folder)) / 1e6, 3)


def memory_mb(network: nn.Module) -> float:
    """Megabytes (10^6 bytes) of the loaded weights and buffers; activations come on top."""
    held = [*network.parameters(), *network.buffers()]
    return round(sum(tensor.numel() * tensor.element_size() for tensor in held) / 1e6, 3)


def count_parameters(network: nn.Module) -> int:
    """Number of weights; a 4-bit one counts as the weights it packs, not as its bytes."""
    total = 0
    for parameter in network.parameters():
        packed = getattr(parameter, "quant_state", None)
        total += packed.shape.numel() if packed is not None else parameter.numel()
    return total
