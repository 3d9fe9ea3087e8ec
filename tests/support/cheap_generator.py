"""Line generators that need no time, and some that fail; worker processes import this module."""

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
from netchu.synthesis.base import GeneratedLine


@dataclass(frozen=True)
class CheapGenerator:
    """Generates random bytes as images and skips every seventh line.

    Args:
        size: bytes of an image.
        seconds: how long a line takes.
        log_folder: where each process leaves a file named by its id; '' for none.
        fail_at: number of the line at which `failure` happens, only once if there is a log
            folder; -1 for none.
        failure: `error` raises, `kill_worker` kills this process, `kill_parent` its parent.
    """

    size: int = 100
    seconds: float = 0.0
    log_folder: str = ""
    fail_at: int = -1
    failure: str = "error"

    @property
    def text_counts(self):
        return {}

    def generate(self, index):
        if self.log_folder:
            (Path(self.log_folder) / f"worker-{os.getpid()}").touch()
        if index == self.fail_at and self._first_time():
            self._fail()
        time.sleep(self.seconds)
        name = f"cheap-{index:07d}"
        if index % 7 == 3:
            return GeneratedLine(Skipped(name, f"font lacks {'ấợ'[index % 2]!r}"))
        image = np.random.default_rng(index).bytes(self.size)
        line = Line(name, image, "chữ viết", f"hand {index % 5}", "cheap", "line", "train", 9, 9)
        return GeneratedLine(line, {"whole": 1 + index % 3, "letters": index % 2})

    def _first_time(self):
        if not self.log_folder:
            return True
        marker = Path(self.log_folder) / "failed"
        first = not marker.exists()
        marker.touch()
        return first

    def _fail(self):
        if self.failure == "error":
            raise NetchuError(f"line {self.fail_at} is refused")
        os.kill(os.getpid() if self.failure == "kill_worker" else os.getppid(), signal.SIGKILL)


def project(count=150, seed=7, workers=1, hands=None, **changes):
    """Return Params whose one synthetic dataset is `cheap`; `small_project` would load torch.

    `hands` are changes of a dataset that generators may take letters from, `changes` those of
    `cheap`.
    """
    content = {
        "profile": "tiny", "seed": seed, "compute": {}, "trainer": {}, "sources": {},
        "synthetic": {"cheap": {"count": count, "text": "syllable"} | changes},
        "synthesis": {"workers": workers}, "systems": {},
        "datasets": {"hands": {"source": "kalapa", "input": "nowhere"} | (hands or {})},
        "evaluate": {"datasets": []},
    }  # fmt: skip
    return parse_config(Params, content, "test params")


def expected(count):
    """Return what a table of `count` cheap lines holds: lines, skipped lines, word sources."""
    generated = [CheapGenerator().generate(index) for index in range(count)]
    lines = [g.line for g in generated if isinstance(g.line, Line)]
    skipped = [g.line for g in generated if isinstance(g.line, Skipped)]
    word_sources = Counter()
    for one in generated:
        word_sources.update(one.word_sources)
    return lines, skipped, dict(word_sources)


def shard_files(folder):
    """Return the bytes of the shards in a folder, by file name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}
