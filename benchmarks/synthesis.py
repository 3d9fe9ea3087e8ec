"""How many lines a second one core draws and loads, and how many trdg draws. See `make help`.

Every kind of lines is drawn in turn, round after round, trdg in between with the same texts and
fonts, so that a busy moment of the machine hits all of them; medians count. Fonts, and trdg's own
environment, lie under .bench/. Kinds that need real handwriting are left out without
NETCHU_MIRROR, from which they are read in place.
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
from netchu.data.line_table import Line
from netchu.data.parse import fonts
from netchu.imaging.preparation import Preprocessing
from netchu.synthesis.datasets import Kind, open_studio
from netchu.training.data_module import LineDataModule

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".bench"
FONTS = Path("data/bench/raw/fonts")
COMMON = {"count": 1_000_000, "words": [3, 8], "height": 64, "distortion": 0.5}
HOW = Preprocessing("grey", 48)
ROUNDS = 5
LINES = 200
"""Drawn by each kind in a round."""
WARM_UP = 6000
"""Lines drawn beforehand by fonts, whose glyphs are then at hand as they are in a long run."""
TRDG_LINES = 30


def main() -> None:
    """Measure everything and print a table; the last line compares with trdg."""
    with one_line_errors():
        _take_one_core()
        BENCH.mkdir(exist_ok=True)
        (BENCH / ".gitignore").write_text("*\n", encoding="utf-8")
        os.chdir(BENCH)
        _get_fonts()
        trdg = _get_trdg()
        params = _params(os.environ.get("NETCHU_MIRROR", ""))
        studios = {kind: open_studio(params, kind) for kind in params.synthetic}
        cold = _rate(lambda: _draw(studios["font address"], 0, LINES))
        lines = list(_draw(studios["font address"], LINES, WARM_UP))
        rates = _measure(studios, lines, trdg)
    print(f"{'font address, first lines':28}{cold:7.1f}")
    for name, found in rates.items():
        print(f"{name:28}{statistics.median(found):7.1f}   {min(found):.1f} … {max(found):.1f}")
    times = statistics.median(rates["font address"]) / statistics.median(rates["trdg"])
    print(f"font {times:.1f} x trdg")


def _take_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _get_fonts() -> None:
    """Copy the laptop profile's fonts, or fetch them."""
    if FONTS.is_dir():
        return
    there = ROOT / "data/laptop/raw/fonts"
    if there.is_dir():
        shutil.copytree(there, FONTS)
    else:
        fonts.fetch(FONTS)


def _get_trdg() -> Path:
    """trdg's own interpreter; its environment is made where it is missing."""
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
        raise NetchuError(f"{Path(command[0]).name} failed ({reason[0]}); mend that, run again")
    return result.stdout


def _params(mirror: str) -> Params:
    """One kind for every text and hand for which there is data."""
    font = COMMON | {"shares": {"train": 1.0}, "fonts": {"train": list(fonts.families(FONTS))}}
    kinds: dict[str, Any] = {
        "font address": font | {"text": "address"},
        "font syllable": font | {"text": "syllable"},
    }
    datasets: dict[str, Any] = {}
    if mirror:
        address = {"text": "address", "corpus": f"{mirror}/vietnam_dataset"}
        names = ("kalapa", "cinnamon", "vnondb")
        datasets = {name: {"source": name, "input": f"{mirror}/{name}"} for name in names}
        kinds["font address"] |= address
        kinds["font verse"] = font | {"text": "verse", "corpus": f"{mirror}/truyen_kieu"}
        kinds["font address, papers"] = font | address | {"papers": ["kalapa", "cinnamon"]}
        kinds["ink address"] = COMMON | address | {"renderer": "ink", "datasets": ["vnondb"]}
        kinds["copy"] = COMMON | {"renderer": "copy", "datasets": ["kalapa", "cinnamon"]}
    content = {
        "profile": "bench", "seed": 1, "compute": {"threads": 1}, "trainer": {}, "sources": {},
        "synthetic": kinds, "datasets": datasets, "systems": {}, "evaluate": {"datasets": []},
    }  # fmt: skip
    return parse_config(Params, content, "benchmark")


def _draw(studio: Kind, start: int, number: int) -> Iterator[Line]:
    """The lines from index `start` on, without those that the studio cannot draw."""
    drawn = (studio.draw(index).line for index in range(start, start + number))
    return (line for line in drawn if isinstance(line, Line))


def _rate(work: Callable[[], Iterator[Any]]) -> float:
    """Things done per second."""
    start = time.perf_counter()
    number = sum(1 for _ in work())
    return number / (time.perf_counter() - start)


def _measure(studios: dict[str, Kind], lines: list[Line], trdg: Path) -> dict[str, list[float]]:
    """What was done -> lines per second of each round."""
    files = fonts.families(FONTS)
    frame = pd.DataFrame([dataclasses.asdict(line) for line in lines[:1000]])
    rates: dict[str, list[float]] = {name: [] for name in (*studios, "loader", "trdg")}
    for number in range(ROUNDS):
        start = LINES + WARM_UP + number * LINES
        for name, studio in studios.items():
            rates[name].append(_rate(lambda s=studio, at=start: _draw(s, at, LINES)))
        rates["loader"].append(_rate(lambda seed=number: _load(frame, seed)))
        chosen = list(_draw(studios["font address"], start, TRDG_LINES))
        rng = np.random.default_rng(number)
        paths = [files[line.writer][rng.integers(len(files[line.writer]))] for line in chosen]
        job = {"texts": [line.text for line in chosen], "fonts": [str(p.resolve()) for p in paths]}
        seconds = _run([trdg, ROOT / "benchmarks" / "trdg_lines.py"], json.dumps(job))
        rates["trdg"].append(len(chosen) / float(seconds.split()[-1]))
    return rates


def _load(frame: pd.DataFrame, seed: int) -> Iterator[str]:
    """The ids of lines as training loads them: decoded, augmented, prepared, stacked."""
    module = LineDataModule(
        frame, plan_items(frame, 0.0, 0), frame, HOW, batch_size=16, steps_per_epoch=20, epochs=1,
        distortion=(0.5, 0.5), seed=seed,
    )  # fmt: skip
    for batch in module.train_dataloader():
        yield from batch.ids


if __name__ == "__main__":
    main()
