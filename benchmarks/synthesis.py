"""Lines per second that one core generates and loads, beside trdg. See `make help`.

Every synthetic dataset is generated in turn, round after round, and trdg in between with the same
texts and fonts, so that other load on the machine affects all of them. Medians are compared. Fonts
and the environment of trdg are kept in .bench/. Datasets that need real handwriting are left out
unless NETCHU_MIRROR names the folder that holds the archives.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from netchu.core.errors import NetchuError, one_line_errors
from netchu.core.params import Params, parse_config
from netchu.data.batches import plan_items
from netchu.data.fetch.fonts import fetch
from netchu.data.line_table import Line
from netchu.data.parse.fonts import font_families
from netchu.imaging.preparation import Preprocessing
from netchu.synthesis.base import LineGenerator
from netchu.synthesis.datasets import make_line_generator
from netchu.training.data_module import LineDataModule

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".bench"
FONTS = Path("data/bench/raw/fonts")
COMMON = {"count": 1_000_000, "words": [3, 8], "height": 64, "distortion": 0.5}
PREPROCESSING = Preprocessing("grey", 48)
ROUNDS = 5
LINES = 200
"""Lines of each synthetic dataset in a round."""
WARM_UP = 6000
"""Lines generated with fonts beforehand, so that glyphs are cached as in a long run."""
TRDG_LINES = 30


def main() -> None:
    """Print the measurements; the last line is the speed relative to trdg."""
    with one_line_errors():
        _use_one_core()
        BENCH.mkdir(exist_ok=True)
        (BENCH / ".gitignore").write_text("*\n", encoding="utf-8")
        os.chdir(BENCH)
        _get_fonts()
        trdg = _get_trdg()
        params = _params(os.environ.get("NETCHU_MIRROR", ""))
        generators = {name: make_line_generator(params, name) for name in params.synthetic}
        cold = _rate(lambda: _generate(generators["font address"], 0, LINES))
        lines = list(_generate(generators["font address"], LINES, WARM_UP))
        rates = _measure(generators, lines, trdg)
    print(f"{'font address, first lines':28}{cold:7.1f}")
    for name, found in rates.items():
        print(f"{name:28}{statistics.median(found):7.1f}   {min(found):.1f} … {max(found):.1f}")
    times = statistics.median(rates["font address"]) / statistics.median(rates["trdg"])
    print(f"font {times:.1f} x trdg")


def _use_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _get_fonts() -> None:
    """Copy the fonts of the laptop profile, or download them."""
    if FONTS.is_dir():
        return
    fetched = ROOT / "data/laptop/raw/fonts"
    if fetched.is_dir():
        shutil.copytree(fetched, FONTS)
    else:
        fetch(FONTS)


def _get_trdg() -> Path:
    """Return the Python of trdg's environment, which is created if it is missing."""
    home = BENCH / "trdg"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        uv = Path(sys.executable).with_name("uv")
        wanted = ROOT / "benchmarks" / "trdg.txt"
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home])
        _run([uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "-r", wanted])
        (home / "ready").touch()
    return python


def _run(command: list[Any], given: str = "") -> str:
    result = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.returncode}"]
        raise NetchuError(f"{Path(command[0]).name} failed ({reason[0]}); correct that, run again")
    return result.stdout


def _params(mirror: str) -> Params:
    """Return one synthetic dataset for every text and renderer that there is data for."""
    font = COMMON | {"shares": {"train": 1.0}, "fonts": {"train": list(font_families(FONTS))}}
    synthetic: dict[str, Any] = {
        "font address": font | {"text": "address"},
        "font syllable": font | {"text": "syllable"},
    }
    datasets: dict[str, Any] = {}
    if mirror:
        address = {"text": "address", "corpora": (f"{mirror}/vietnam_dataset",)}
        names = ("kalapa", "cinnamon", "vnondb")
        datasets = {name: {"source": name, "input": f"{mirror}/{name}"} for name in names}
        synthetic["font address"] |= address
        synthetic["font verse"] = font | {"text": "verse", "corpora": (f"{mirror}/truyen_kieu",)}
        synthetic["font address, papers"] = font | address | {"papers": ["kalapa", "cinnamon"]}
        synthetic["ink address"] = COMMON | address | {"renderer": "ink", "datasets": ["vnondb"]}
        synthetic["copy"] = COMMON | {"renderer": "copy", "datasets": ["kalapa", "cinnamon"]}
    content = {
        "profile": "bench", "seed": 1, "compute": {"threads": 1}, "trainer": {}, "sources": {},
        "synthetic": synthetic, "datasets": datasets, "systems": {}, "evaluate": {"datasets": []},
    }  # fmt: skip
    return parse_config(Params, content, "benchmark")


def _generate(generator: LineGenerator, start: int, number: int) -> Iterator[Line]:
    """Yield the lines from index `start` on, without skipped ones."""
    generated = (generator.generate(index).line for index in range(start, start + number))
    return (line for line in generated if isinstance(line, Line))


def _rate(work: Callable[[], Iterator[Any]]) -> float:
    """Return how many items `work` yields per second."""
    start = time.perf_counter()
    number = sum(1 for _ in work())
    return number / (time.perf_counter() - start)


def _measure(
    generators: dict[str, LineGenerator], lines: list[Line], trdg: Path
) -> dict[str, list[float]]:
    """Return lines per second of each round, by what was measured."""
    files = font_families(FONTS)
    frame = pd.DataFrame([dataclasses.asdict(line) for line in lines[:1000]])
    rates: dict[str, list[float]] = {name: [] for name in (*generators, "loader", "trdg")}
    for number in range(ROUNDS):
        start = LINES + WARM_UP + number * LINES
        for name, generator in generators.items():
            rates[name].append(_rate(lambda s=generator, at=start: _generate(s, at, LINES)))
        rates["loader"].append(_rate(lambda seed=number: _load(frame, seed)))
        chosen = list(_generate(generators["font address"], start, TRDG_LINES))
        rng = np.random.default_rng(number)
        paths = [files[line.writer][rng.integers(len(files[line.writer]))] for line in chosen]
        job = {"texts": [line.text for line in chosen], "fonts": [str(p.resolve()) for p in paths]}
        seconds = _run([trdg, ROOT / "benchmarks" / "trdg_lines.py"], json.dumps(job))
        rates["trdg"].append(len(chosen) / float(seconds.split()[-1]))
    return rates


def _load(frame: pd.DataFrame, seed: int) -> Iterator[str]:
    """Yield the ids of lines that are loaded as in training: decoded, augmented, batched."""
    module = LineDataModule(
        frame,
        plan_items(frame, 0.0, 0),
        frame,
        PREPROCESSING,
        batch_size=16,
        steps_per_epoch=20,
        epochs=1,
        augmentation_strength=(0.5, 0.5),
        seed=seed,
    )
    for batch in module.train_dataloader():
        yield from batch.ids


if __name__ == "__main__":
    main()
