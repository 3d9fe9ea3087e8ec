"""Does memory grow with the number of lines? Peak MB above a process's base, by lines.

`python benchmarks/memory.py [LINES …]` writes tables of small images (0.6 kB) and measures, each in
a process of its own, preprocessing and what the stage `finetune` does before and while it trains:
read the tables of two datasets, reject lines, select splits, plan items and batches, load an epoch
of `STEPS` batches and the validation lines. The first figure is anonymous memory (sampled), which
the process cannot do without; the second is the peak of resident memory, with those pages of mapped
files that happened to be in memory and that the kernel can drop. A loader with a table in memory is
the control. Then all run on the largest table, of 200 thousand lines or more, with a limit of
memory (RLIMIT_DATA): both have to pass and the control to fail. The last lines compare how fast
both loaders are.
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
from netchu.core.params import DatasetParams, Params, PhaseParams, parse_config
from netchu.data.line_table import Line, write_table
from netchu.data.preprocessing import preprocess
from netchu.imaging.images import encode
from netchu.models.base import Recogniser
from netchu.training.phase import phase_data
from netchu.training.stage import build_recogniser, phase_lines, split_trainable

ROOT = Path(__file__).resolve().parents[1]
LINES = (20_000, 200_000, 2_000_000)
HEIGHT, WIDTHS = 12, range(24, 64, 4)
"""Of images, which are noise, so that no compression makes them smaller."""
DISTINCT = 1000
BATCH, STEPS, ROUNDS = 16, 60, 5
MB = 1_000_000
LIMIT = 250
"""MB above the base that the processes of the largest table may take."""
CONTROL = "loader in memory"
SYSTEM = "netchu_small"
PHASE = PhaseParams(
    ("made", "more"),
    ROUNDS,
    STEPS,
    batch_size=BATCH,
    concat_prob=0.2,
    dataset_weights={"more": 2.5},
)
PARAMS = parse_config(
    Params,
    {
        "profile": "bench", "seed": 1, "compute": {"workers": 0}, "trainer": {}, "sources": {},
        "synthetic": {}, "datasets": {}, "systems": {SYSTEM: {
            "model": {"height": 48, "channels": [4, 4, 8, 8], "mixers": 1}, "pretrain": {},
            "finetune": {},
        }},
        "evaluate": {"datasets": []},
    },
    "memory.py",
)  # fmt: skip


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
                _write_tables(number)
                images = sum(len(line.image) for line in _lines(number, "made")) // MB
                print(f"{number} lines, {images} MB of images", flush=True)
                for name in WORK:
                    print(f"  {name}: {_measure(name)[1]}", flush=True)
            for name in WORK:
                passed, result = _measure(name, LIMIT)
                print(f"{name} with {LIMIT} MB above its base: {result}", flush=True)
                if passed == (name == CONTROL):
                    raise NetchuError(f"{name} should have {'failed' if passed else 'passed'}")
            _compare_speed()
        print(f"load {os.getloadavg()[0]:.1f}")


def _write_tables(number: int) -> None:
    write_table(_lines(number, "made"), PARAMS.lines / "made")
    write_table(_lines(number // 10, "more"), PARAMS.lines / "more")


def _lines(number: int, source: str) -> Iterator[Line]:
    rng = np.random.default_rng(0)
    widths = [WIDTHS[index % len(WIDTHS)] for index in range(DISTINCT)]
    pictures = [encode(rng.integers(0, 256, (HEIGHT, width), np.uint8)) for width in widths]
    for index in range(number):
        # PNG ends before these bytes, which make every image another one.
        image = pictures[index % DISTINCT] + index.to_bytes(8, "big")
        split = "val" if index % 20 == 0 else "train"
        level = "word" if index % 4 == 1 else "line"
        text = f"số{index}" if level == "word" else f"số {index} đường Láng"
        if index % 1009 == 0:
            text *= 9  # too long for the image
        writer, width = f"{split} {index % 997}", widths[index % DISTINCT]
        name = f"{source}-{index:08d}"
        yield Line(name, image, text, writer, source, level, split, width, HEIGHT)


def _measure(work: str, limit: int = 0) -> tuple[bool, str]:
    """Return whether a process of its own did it, and its peaks or its error."""
    command = [sys.executable, __file__, "--work", work, "--limit", str(limit)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout
        process.stdout.readline()  # its base is reached
        anonymous = [_memory("RssAnon", process.pid)]
        while process.poll() is None:
            anonymous.append(_memory("RssAnon", process.pid))
            time.sleep(0.005)
        errors.seek(0)
        lines = (process.stdout if process.returncode == 0 else errors).read().splitlines()
    if process.returncode:
        return False, lines[-1]
    grown = (max(anonymous) - anonymous[0]) // MB
    return True, f"{grown} MB of anonymous memory, {lines[-1]}"


def _work(name: str, limit: int) -> None:
    recogniser = build_recogniser(PARAMS, SYSTEM)
    base, start = _memory("VmRSS"), time.perf_counter()
    if limit:
        size = _memory("VmData") + limit * MB
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    print("ready", flush=True)
    WORK[name](recogniser)
    resident, seconds = _memory("VmHWM") - base, time.perf_counter() - start
    print(f"{resident // MB} MB resident, {seconds:.0f} s")


def _memory(field: str, process: int | str = "self") -> int:
    """Return a size in bytes of a process from Linux, 0 for one that has ended."""
    for row in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if row.startswith(f"{field}:"):
            return int(row.split()[1]) * 1024
    return 0


def _preprocess(recogniser: Recogniser) -> None:
    wanted = DatasetParams("synthetic", str(PARAMS.lines / "made"), levels=("word", "line"))
    preprocess(wanted, "made", 1, Path("preprocessed"))


def _loader(recogniser: Recogniser) -> None:
    lines = phase_lines(PARAMS, PHASE)
    recogniser.configure_for(lines["text"])
    _load_epoch(recogniser, lines)


def _loader_in_memory(recogniser: Recogniser) -> None:
    _load_epoch(recogniser, _in_memory(phase_lines(PARAMS, PHASE)))


def _load_epoch(recogniser: Recogniser, lines: pd.DataFrame) -> None:
    lines, _ = split_trainable(recogniser, lines, PHASE)
    module = phase_data(recogniser, lines, PHASE, PARAMS, 1)
    for loader in (module.train_dataloader(), module.val_dataloader()):
        for _ in loader:
            pass


def _in_memory(lines: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with all columns in memory."""
    return pd.DataFrame({name: lines[name].tolist() for name in lines})


WORK: dict[str, Callable[[Recogniser], None]] = {
    "preprocess": _preprocess,
    "loader": _loader,
    CONTROL: _loader_in_memory,
}


def _compare_speed() -> None:
    """Print lines per second of the loader with a table on disk and in memory, in turn."""
    recogniser, stored = build_recogniser(PARAMS, SYSTEM), phase_lines(PARAMS, PHASE)
    modules = {
        name: phase_data(recogniser, lines, PHASE, PARAMS, 1)
        for name, lines in (("on disk", stored), ("in memory", _in_memory(stored)))
    }
    rates: dict[str, list[float]] = {name: [] for name in modules}
    for epoch in range(ROUNDS):
        for name, module in modules.items():
            loader = module.train_dataloader()
            loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
            loading = iter(loader)
            next(loading)  # batches are planned
            start = time.process_time()
            number = sum(len(batch.ids) for batch in loading)
            rates[name].append(number / (time.process_time() - start))
    disk, memory = (statistics.median(found) for found in rates.values())
    print(f"lines per second of processor: on disk {disk:.0f}, in memory {memory:.0f}; "
          f"ratio {disk / memory:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
