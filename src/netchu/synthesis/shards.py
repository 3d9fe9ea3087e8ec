"""The synthesize stage: one kind of lines, drawn shard by shard into a line table.

Shards are written outside the stage's output, which DVC empties before a run, into a folder named
by what they depend on. A run that was killed goes on with the shards that are missing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from rich.progress import MofNCompleteColumn, Progress

from netchu.core import fingerprints
from netchu.core.locks import exclusive_lock
from netchu.core.params import Params, SynthesisParams
from netchu.core.paths import CHECKPOINTS
from netchu.core.files import hash_folder
from netchu.data.line_table import SHARD_LINES, Skipped, read_notes, write_skipped
from netchu.synthesis.datasets import Kind, open_studio
from netchu.synthesis.executors import Shard, draw_shards, one_line_when_full


def synthesize_table(params: Params, kind: str) -> Path:
    """Write data/<profile>/synthetic/<kind>; return that folder.

    Beside the shards and `skipped.csv` lies `summary.json`: how many lines there are, how many
    were skipped for which reason, and how many words came to be in which way.

    Raises:
        NetchuError: parameters or data that do not fit (see `open_studio`), another run at work
            on the same table, or an executor's trouble (see `draw_shards`).
    """
    count = params.synthetic_dataset(kind).count
    out = params.synthetic_lines / kind
    home = CHECKPOINTS / params.profile / "synthetic" / kind
    shards = [
        Shard(number, start, min(start + SHARD_LINES, count))
        for number, start in enumerate(range(0, count, SHARD_LINES))
    ]
    with exclusive_lock(out), one_line_when_full(home):
        studio = open_studio(params, kind)
        folder = home / _key(params, kind)
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _draw(studio, shards, folder, params.synthesis)
        _sweep(folder)
        _summarise(folder, shards)
        _move(folder, out)
        shutil.rmtree(home)
    return out


def _key(params: Params, kind: str) -> str:
    """What a shard depends on, in a few letters."""
    wanted = params.synthetic_dataset(kind)
    here = Path(__file__)
    sources = {params.dataset(name).source for name in (*wanted.datasets, *wanted.papers)}
    entries = [
        here,
        *(fingerprints.PACKAGE / "data" / "parse" / f"{source}.py" for source in sources),
    ]
    texts = [path.read_bytes() for path in sorted(here.parent.glob("*.txt"))]
    parts = [
        fingerprints.fingerprint(entries), texts, params.seed, wanted, params.datasets,
        hash_folder(params.raw),
    ]  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left unfinished."""
    for unfinished in folder.glob("*.part"):
        unfinished.unlink()


def _draw(studio: Kind, shards: Sequence[Shard], folder: Path, how: SynthesisParams) -> None:
    """Draw the shards that `folder` lacks."""
    missing = [shard for shard in shards if not _is_whole(folder / shard.name)]
    total = sum(map(len, shards))
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, transient=True) as bar:
        done = total - sum(map(len, missing))
        task = bar.add_task("drawing lines", total=total, completed=done)
        for shard in draw_shards(studio, missing, folder, how):
            bar.advance(task, len(shard))


def _is_whole(path: Path) -> bool:
    try:
        return bool(read_notes(path))
    except (pa.ArrowException, OSError):
        return False


def _summarise(folder: Path, shards: Sequence[Shard]) -> None:
    """Write `skipped.csv` and `summary.json` from the shards' notes, one shard at a time."""
    reasons: Counter[str] = Counter()
    ways: Counter[str] = Counter()

    def skipped() -> Iterator[Skipped]:
        for shard in shards:
            notes = read_notes(folder / shard.name)
            ways.update(notes["ways"])
            reasons.update(reason for _, reason in notes["skipped"])
            yield from (Skipped(*line) for line in notes["skipped"])

    write_skipped(skipped(), folder)
    lines = sum(map(len, shards)) - reasons.total()
    summary = json.dumps(
        {"lines": lines, "skipped": reasons, "ways": ways},
        indent=1, sort_keys=True, ensure_ascii=False,
    )  # fmt: skip
    (folder / "summary.json").write_text(summary + "\n", encoding="utf-8")


def _move(folder: Path, out: Path) -> None:
    """Rename `folder` to `out`; it may lie on another disk, so it is first brought beside."""
    partial = out.with_name(out.name + ".part")
    out.parent.mkdir(parents=True, exist_ok=True)
    for old in (partial, out):
        shutil.rmtree(old, ignore_errors=True)
    shutil.move(folder, partial)
    partial.rename(out)
