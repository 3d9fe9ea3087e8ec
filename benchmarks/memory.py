"""Does memory grow with the number of lines? Peak MB above a process's base, by lines.

`python benchmarks/memory.py [LINES …]` writes tables of small images (3.2 kB) and measures, each in
a process of its own, preprocessing and the loader of trainings (table read, batches planned, one
epoch of `STEPS` batches). A loader with all images in memory is the control. Then all run on the
largest table with a limit of memory (RLIMIT_DATA) that is half of its images: both have to pass
and the control to fail. The last lines compare how fast both loaders are.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from netchu.core.errors import NetchuError, one_line_errors
from netchu.core.params import DatasetParams
from netchu.data.batches import plan_items
from netchu.data.line_table import Line, read_table, write_table
from netchu.data.preprocessing import preprocess
from netchu.imaging.images import encode
from netchu.imaging.preparation import Preprocessing
from netchu.training.data_module import LineDataModule

ROOT = Path(__file__).resolve().parents[1]
LINES = (10_000, 50_000, 200_000)
IMAGE = (24, 128)
"""Height and width; noise, so that no compression makes the images smaller."""
DISTINCT = 1000
BATCH, STEPS, ROUNDS = 16, 60, 5
MB = 1_000_000
CONTROL = "loader in memory"


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="*", type=int, default=LINES)
    parser.add_argument("--work", choices=WORK, help="measure this in the current process")
    parser.add_argument("--limit", type=int, default=0, help="MB above the base")
    arguments = parser.parse_args()
    with one_line_errors():
        if arguments.work:
            _work(arguments.work, arguments.limit)
            return
        (ROOT / ".bench").mkdir(exist_ok=True)
        (ROOT / ".bench" / ".gitignore").write_text("*\n", encoding="utf-8")
        with tempfile.TemporaryDirectory(dir=ROOT / ".bench") as folder:
            os.chdir(folder)
            for number in arguments.lines:
                images = sum(len(line.image) for line in _lines(number)) // MB
                write_table(_lines(number), Path("table"))
                peaks = ", ".join(f"{name} {_measure(name)[1]} MB" for name in WORK)
                print(f"{number} lines, {images} MB of images: {peaks}", flush=True)
            for name in WORK:
                passed, result = _measure(name, images // 2)
                print(f"{name} with {images // 2} MB above its base: {result}", flush=True)
                if passed == (name == CONTROL):
                    raise NetchuError(f"{name} should have {'failed' if passed else 'passed'}")
            _compare_speed()
        print(f"load {os.getloadavg()[0]:.1f}")


def _lines(number: int) -> Iterator[Line]:
    rng = np.random.default_rng(0)
    pictures = [encode(rng.integers(0, 256, IMAGE, np.uint8)) for _ in range(DISTINCT)]
    height, width = IMAGE
    for index in range(number):
        # PNG ends before these bytes, which make every image another one.
        image = pictures[index % DISTINCT] + index.to_bytes(8, "big")
        split = "val" if index % 100 == 0 else "train"
        text = f"số {index} đường Láng"
        writer = f"{split} {index % 997}"
        yield Line(f"made-{index:08d}", image, text, writer, "made", "line", split, width, height)


def _measure(work: str, limit: int = 0) -> tuple[bool, str]:
    """Return whether a process of its own did it, and its peak in MB or its error."""
    command = [sys.executable, __file__, "--work", work, "--limit", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    passed = done.returncode == 0
    return passed, (done.stdout if passed else done.stderr).strip().splitlines()[-1]


def _work(name: str, limit: int) -> None:
    base = _memory("VmRSS")
    if limit:
        size = _memory("VmData") + limit * MB
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    WORK[name]()
    print((_memory("VmHWM") - base) // MB)


def _memory(field: str) -> int:
    """Return a size in bytes of this process from Linux."""
    for row in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if row.startswith(f"{field}:"):
            return int(row.split()[1]) * 1024
    raise KeyError(field)


def _loader() -> None:
    for _ in _load(read_table(Path("table")), 0):
        pass


def _loader_in_memory() -> None:
    table = read_table(Path("table"))
    for _ in _load(table.assign(image=table["image"].tolist()), 0):
        pass


def _preprocess() -> None:
    wanted = DatasetParams(source="synthetic", input="table")
    preprocess(wanted, "made", 1, Path("preprocessed"))


WORK: dict[str, Callable[[], None]] = {
    "preprocess": _preprocess,
    "loader": _loader,
    CONTROL: _loader_in_memory,
}


def _load(table: pd.DataFrame, seed: int) -> Iterator[str]:
    """Yield the ids of the lines of an epoch, loaded as in training."""
    train = table[table["split"] == "train"].reset_index(drop=True)
    module = LineDataModule(
        train, plan_items(train, 0.0, 0), table[table["split"] == "val"], Preprocessing("grey", 48),
        batch_size=BATCH, steps_per_epoch=STEPS, epochs=1, augmentation_strength=(0.5, 0.5),
        seed=seed,
    )  # fmt: skip
    for batch in module.train_dataloader():
        yield from batch.ids


def _compare_speed() -> None:
    """Print lines per second of the loader with images on disk and in memory, in turn."""
    stored = read_table(Path("table"))
    tables = {"on disk": stored, "in memory": stored.assign(image=stored["image"].tolist())}
    rates: dict[str, list[float]] = {name: [] for name in tables}
    for seed in range(ROUNDS):
        for name, table in tables.items():
            loading = _load(table, seed)
            next(loading)  # batches are planned
            start = time.process_time()
            number = sum(1 for _ in loading)
            rates[name].append(number / (time.process_time() - start))
    disk, memory = (statistics.median(found) for found in rates.values())
    print(f"lines per second of processor: on disk {disk:.0f}, in memory {memory:.0f}; "
          f"ratio {disk / memory:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
