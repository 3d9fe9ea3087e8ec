"""Reading the test lines with a trained system, and what came of it.

Every system reads the same lines. A line that a system cannot hold counts as it is read; none is
dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.progress import Progress
from torch import nn

from netchu.benchmark import measure_speed
from netchu.checkpoint import load_model, read_card, weight_files, write_json
from netchu.errors import NetchuError
from netchu.lines import LEVELS, read_table
from netchu.loader import frame_batches
from netchu.metrics import DIGITS, bootstrap_groups, score, summarise
from netchu.models.base import LineBatch, Recogniser
from netchu.params import Params
from netchu.readings import Reading
from netchu.text import loops

Reader = Callable[[LineBatch], list[Reading]]

MAIN = "main"
"""The variant of a system that reads in one way only."""

COLUMNS = ["id", "dataset", "source", "level", "writer", "text", "reading", "confidence", "variant"]


def chosen_lines(params: Params) -> pd.DataFrame:
    """The lines every system reads: the line table's columns and `dataset`.

    At most `evaluate.limit` of each dataset and level, chosen by seed and id, so that one line
    more in the table moves no other line in or out of the choice.

    Raises:
        NetchuError: a dataset has no line of the wanted split.
    """
    split = params.evaluate.split
    frames = []
    for dataset in params.evaluate.datasets:
        params.dataset(dataset)
        table = read_table(params.lines / dataset)
        table = table[table["split"] == split].assign(dataset=dataset)
        if table.empty:
            raise NetchuError(
                f"dataset {dataset} has no {split} line; set datasets.{dataset}.{split}_share or "
                "take it out of evaluate.datasets"
            )
        order = table["id"].map(lambda i: hashlib.sha256(f"{params.seed}:{i}".encode()).hexdigest())
        table = table.assign(order=order).sort_values(["order", "id"])
        if params.evaluate.limit:
            table = table.groupby("level", sort=False).head(params.evaluate.limit)
        frames.append(table.drop(columns="order"))
    return pd.concat(frames, ignore_index=True)


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
    looped = getattr(recogniser, "looped", loops)
    summaries = {
        variant: _summaries(params, predictions[predictions["variant"] == variant], looped)
        for variant in variants
    }
    metrics: dict[str, Any] = {
        "system": system,
        "profile": params.profile,
        "seed": params.seed,
        "note": params.system(system).note,
        "hub_note": str(getattr(recogniser, "hub_note", "")),
        "size_mb": size_mb(folder),
        "parameters": count_parameters(recogniser),
        "training": read_card(folder)["training"],
        "main": main,
        **summaries[main],
        "variants": {name: s for name, s in summaries.items() if name != main},
    }
    out.mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(out / "predictions.parquet", index=False)
    write_json(metrics, out / "metrics.json")
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


def variants_of(recogniser: Recogniser) -> dict[str, Reader]:
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
    variants: dict[str, Reader],
    lines: pd.DataFrame,
) -> pd.DataFrame:
    """One row for each line and variant, in the order of `lines`."""
    rows: list[dict[str, Any]] = []
    with Progress() as progress:
        task = progress.add_task(f"reading with {system}", total=len(lines) * len(variants))
        for dataset, part in lines.groupby("dataset", sort=False):
            batches = frame_batches(part, recogniser.preprocessing, params.evaluate.batch_size)
            for batch in batches:
                for variant, read in variants.items():
                    readings = read(batch.to(recogniser.device))
                    rows += _rows(str(dataset), variant, batch, readings)
                    progress.advance(task, len(batch.ids))
    read_rows = pd.DataFrame(rows)
    keys = ["dataset", "id"]
    known = lines[[*keys, "source", "level", "writer", "text"]]
    predictions = known.merge(read_rows, on=keys, how="left", validate="one_to_many")
    if predictions["reading"].isna().any():
        lost = predictions.loc[predictions["reading"].isna(), "id"].iloc[0]
        raise NetchuError(f"{system} gave no reading for line {lost}; every line must be read")
    return predictions.sort_values(["variant", *keys], ignore_index=True)[COLUMNS]


def _rows(
    dataset: str, variant: str, batch: LineBatch, readings: list[Reading]
) -> list[dict[str, Any]]:
    return [
        {
            "dataset": dataset,
            "variant": variant,
            "id": line,
            "reading": reading.text,
            "confidence": round(reading.confidence, DIGITS),
        }
        for line, reading in zip(batch.ids, readings, strict=True)
    ]


def _summaries(
    params: Params, predictions: pd.DataFrame, looped: Callable[[str], bool]
) -> dict[str, Any]:
    """Rates by dataset and level, and overall: of lines alone, which every system reads."""
    predictions = predictions.reset_index(drop=True)
    scored = score(predictions["text"].tolist(), predictions["reading"].tolist(), looped)

    def rates(chosen: pd.DataFrame) -> dict[str, float | int]:
        groups = bootstrap_groups(chosen)
        resamples = params.evaluate.resamples
        return summarise(scored.loc[chosen.index], groups, resamples, params.seed)

    datasets: dict[str, dict[str, Any]] = {}
    for dataset in params.evaluate.datasets:
        part = predictions[predictions["dataset"] == dataset]
        present = [level for level in LEVELS if (part["level"] == level).any()]
        datasets[dataset] = {level: rates(part[part["level"] == level]) for level in present}
    whole_lines = predictions[predictions["level"] == "line"]
    return {"overall": rates(whole_lines), "datasets": datasets}


def size_mb(folder: Path) -> float:
    """Megabytes (10^6 bytes) of the weight files in a model folder."""
    return round(sum(p.stat().st_size for p in weight_files(folder)) / 1e6, 3)


def count_parameters(network: nn.Module) -> int:
    """Number of weights; a 4-bit one counts as the weights it packs, not as its bytes."""
    total = 0
    for parameter in network.parameters():
        packed = getattr(parameter, "quant_state", None)
        total += packed.shape.numel() if packed is not None else parameter.numel()
    return total
