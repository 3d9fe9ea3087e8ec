"""Is a core as fast in `netchu read --out NAME.parquet` as in a plain loop? Pages per second.

`python benchmarks/bulk_reading.py [--executor ray] [--pages N]` reads composed pages of four sample
lines with `Reader.read_many`, then into a table with one worker and with two, three times in turn.
The output is the median of each and its ratio to the loop, by the clock and by processor time: the
pages of a second of processor time of the workers do not depend on what else runs on the cores.
A worker has loaded its model before its time begins.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import cv2
import psutil
from photos import pages, sample_lines

from netchu.core.cores import available_cores
from netchu.core.errors import one_line_errors
from netchu.imaging.images import encode
from netchu.inference.bulk.file_reader import ReadOptions, model_hash
from netchu.inference.bulk.run import EXECUTORS
from netchu.inference.bulk.scheduling import read_files
from netchu.inference.bulk.tables import ReadingsTable
from netchu.inference.bulk.workers import Answer, Pool
from netchu.inference.exported_model import SHIPPED_MODEL
from netchu.inference.reader import Reader

ROUNDS = 3
BATCH = 16


def main() -> None:
    """Print a row for the loop, and for one and two workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", choices=EXECUTORS, default="local")
    parser.add_argument("--pages", type=int, default=192)
    arguments = parser.parse_args()
    with one_line_errors(), tempfile.TemporaryDirectory() as folder:
        files = write_pages(Path(folder), arguments.pages)
        measured: dict[str, list[tuple[float, float]]] = {}
        for number in range(ROUNDS):
            measured.setdefault("loop", []).append(loop(files))
            for workers in (1, 2):
                out = Path(folder) / f"{number}-{workers}.parquet"
                pool = EXECUTORS[arguments.executor](ReadOptions(batch=BATCH))
                rates = bulk(files, pool, workers, out)
                measured.setdefault(f"{arguments.executor}, {workers} workers", []).append(rates)
        load = os.getloadavg()[0]
        print(f"{len(files)} pages, load {load:.1f}, {available_cores()} cores")
        loops = [statistics.median(column) for column in zip(*measured["loop"], strict=True)]
        for name, rates_of_rounds in measured.items():
            clock, cpu = (statistics.median(c) for c in zip(*rates_of_rounds, strict=True))
            print(
                f"| {name} | {clock:.2f} pages/s | {clock / loops[0]:.2f} "
                f"| {cpu:.2f} pages/s of processor | {cpu / loops[1]:.2f} |"
            )


def write_pages(folder: Path, number: int) -> list[str]:
    """Write pages of four lines each; return their paths."""
    composed = [encode(photo) for photo, _ in pages(sample_lines())]
    files = []
    for index in range(number):
        path = folder / f"{index:05}.png"
        path.write_bytes(composed[index % len(composed)])
        files.append(str(path))
    return files


def loop(files: list[str]) -> tuple[float, float]:
    """Return pages per second, and per second of processor time, of a plain loop."""
    cv2.setNumThreads(1)
    reader = Reader()
    clock, cpu = time.perf_counter(), time.process_time()
    for _ in reader.read_many(files, batch=BATCH):
        pass
    return len(files) / (time.perf_counter() - clock), len(files) / (time.process_time() - cpu)


class LoadedPool:
    """A pool whose workers have loaded their models before the first gets files."""

    def __init__(self, pool: Pool, workers: int) -> None:
        self._pool, self._loading = pool, workers
        self._loaded: list[tuple[int, Answer]] = []
        self.cores, self.start, self.send = pool.cores, pool.start, pool.send
        self.close = pool.close
        self.began = (0.0, 0.0)

    def wait(self) -> tuple[int, Answer]:
        """Return the next answer."""
        if self._loading:
            self._loaded = [self._pool.wait() for _ in range(self._loading)]
            self._loading = 0
            self.began = clocks()
        return self._loaded.pop() if self._loaded else self._pool.wait()


def bulk(files: list[str], pool: Pool, workers: int, out: Path) -> tuple[float, float]:
    """Return pages per second, and per second of processor time of all processes, of workers."""
    model = model_hash(SHIPPED_MODEL)
    loaded = LoadedPool(pool, workers)
    table = ReadingsTable(out, {"model": model})
    with closing(loaded):
        for read in read_files(iter(files), loaded, workers, BATCH, model):
            table.add(read.rows)
        table.flush()
        clock, cpu = (now - then for now, then in zip(clocks(), loaded.began, strict=True))
    assert table.read_pages == len(files)
    return len(files) / clock, len(files) / cpu


def clocks() -> tuple[float, float]:
    """Return seconds by the clock, and of processor time of this process and those below it."""
    children = psutil.Process().children(recursive=True)
    times = [child.cpu_times() for child in children]
    return time.perf_counter(), time.process_time() + sum(t.user + t.system for t in times)


if __name__ == "__main__":
    main()
