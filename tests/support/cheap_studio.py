"""Studios whose lines cost nothing, and some that fail; workers import them from here."""

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.params import Params, parse_config
from netchu.data.line_table import Line, Skipped
from netchu.synthesis.datasets import Drawing


@dataclass(frozen=True)
class CheapStudio:
    """Every seventh line is skipped. size: bytes of an image. seconds: that a line takes.

    diary: the folder where those who draw leave their process id ('' for none).
    At line `at` (-1: nowhere) there is trouble: `refuse` is an error, `die` kills the process and
    `orphan` the one that started it. With a diary, trouble happens once.
    """

    size: int = 100
    seconds: float = 0.0
    diary: str = ""
    at: int = -1
    trouble: str = "refuse"

    def draw(self, index):
        if self.diary:
            (Path(self.diary) / f"worker-{os.getpid()}").touch()
        if index == self.at and self._first_time():
            self._make_trouble()
        time.sleep(self.seconds)
        name = f"cheap-{index:07d}"
        if index % 7 == 3:
            return Drawing(Skipped(name, f"font lacks {'ấợ'[index % 2]!r}"))
        image = np.random.default_rng(index).bytes(self.size)
        line = Line(name, image, "chữ viết", f"hand {index % 5}", "cheap", "line", "train", 9, 9)
        return Drawing(line, {"whole": 1 + index % 3, "letters": index % 2})

    def _first_time(self):
        sign = Path(self.diary) / "trouble"
        if not self.diary:
            return True
        first = not sign.exists()
        sign.touch()
        return first

    def _make_trouble(self):
        if self.trouble == "refuse":
            raise NetchuError(f"line {self.at} is refused")
        os.kill(os.getpid() if self.trouble == "die" else os.getppid(), signal.SIGKILL)


def project(count=150, seed=7, workers=1, **changes):
    """Params whose one kind is `cheap`; without `small_project`, which loads torch."""
    content = {
        "profile": "tiny", "seed": seed, "compute": {}, "trainer": {}, "sources": {},
        "synthetic": {"cheap": {"count": count, "text": "syllable"} | changes},
        "synthesis": {"workers": workers}, "datasets": {}, "systems": {},
        "evaluate": {"datasets": []},
    }  # fmt: skip
    return parse_config(Params, content, "test params")


def expected(count):
    """What a table of `count` cheap lines holds: lines, skipped lines, ways."""
    drawings = [CheapStudio().draw(index) for index in range(count)]
    lines = [d.line for d in drawings if isinstance(d.line, Line)]
    skipped = [d.line for d in drawings if isinstance(d.line, Skipped)]
    ways = Counter()
    for drawing in drawings:
        ways.update(drawing.ways)
    return lines, skipped, dict(ways)


def shard_files(folder):
    """Bytes of the shards in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}
