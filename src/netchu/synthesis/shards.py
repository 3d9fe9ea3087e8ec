"""The synthesize stage: write one synthetic dataset, shard by shard, as a line table.

DVC empties the stage's output before a run, so finished shards are kept elsewhere, in a folder
named by a hash of what they depend on. A run that was killed continues with the missing shards.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from rich.progress import MofNCompleteColumn, Progress

from netchu.core import fingerprints
from netchu.core.files import PART, hash_folder, remove_partial_files
from netchu.core.locks import exclusive_lock
from netchu.core.params import Params, SynthesisParams
from netchu.core.paths import CHECKPOINTS
from netchu.data.line_table import SHARD_LINES, Skipped, read_shard_metadata, write_skipped
from netchu.synthesis.base import LineGenerator
from netchu.synthesis.datasets import make_line_generator
from netchu.synthesis.executors import Shard, generate_shards, report_full_disk


def synthesize_table(params: Params, name: str) -> Path:
    """Write synthetic dataset `name` to data/<profile>/synthetic/<name>; return that folder.

    Beside the shards and `skipped.csv`, `summary.json` counts the lines, the skipped lines by
    reason (`skipped`), the words by how they were made (`ways`), and the texts of the corpora that
    were used and left out (`texts`).

    Raises:
        NetchuError: parameters or data that do not fit (see `make_line_generator`), another
            process is writing the same table, or an executor failed (see `generate_shards`).
    """
    count = params.synthetic_dataset(name).count
    out = params.synthetic_lines / name
    checkpoints = CHECKPOINTS / params.profile / "synthetic" / name
    shards = [
        Shard(number, start, min(start + SHARD_LINES, count))
        for number, start in enumerate(range(0, count, SHARD_LINES))
    ]
    with exclusive_lock(out), report_full_disk(checkpoints):
        generator = make_line_generator(params, name)
        folder = checkpoints / _checkpoint_key(params, name)
        folder.mkdir(parents=True, exist_ok=True)
        remove_partial_files(folder)
        _generate_missing(generator, shards, folder, params.synthesis)
        remove_partial_files(folder)
        _write_summary(folder, shards, generator.text_counts)
        _publish(folder, out)
        shutil.rmtree(checkpoints)
    return out


def _checkpoint_key(params: Params, name: str) -> str:
    """Return a short hash of what the shards depend on: code, parameters and fetched data."""
    wanted = params.synthetic_dataset(name)
    here = Path(__file__)
    sources = {params.dataset(dataset).source for dataset in params.read_by(wanted)}
    folder = fingerprints.PACKAGE / "data" / "parse" / "handwriting"
    parsers = [folder / f"{source}.py" for source in sources]
    parts = [
        fingerprints.fingerprint([here, *parsers]), params.seed, wanted, params.datasets,
        hash_folder(params.raw),
    ]  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _generate_missing(
    generator: LineGenerator, shards: Sequence[Shard], folder: Path, params: SynthesisParams
) -> None:
    """Generate the shards that are not in `folder` yet, with a progress bar."""
    missing = [shard for shard in shards if not _is_valid(folder / shard.name)]
    total = sum(map(len, shards))
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, transient=True) as bar:
        done = total - sum(map(len, missing))
        task = bar.add_task("generating lines", total=total, completed=done)
        for shard in generate_shards(generator, missing, folder, params):
            bar.advance(task, len(shard))


def _is_valid(path: Path) -> bool:
    try:
        return bool(read_shard_metadata(path))
    except (pa.ArrowException, OSError):
        return False


def _write_summary(folder: Path, shards: Sequence[Shard], text_counts: Mapping[str, int]) -> None:
    """Write `skipped.csv` and `summary.json` from the metadata of one shard after the other."""
    reasons: Counter[str] = Counter()
    word_sources: Counter[str] = Counter()

    def skipped() -> Iterator[Skipped]:
        for shard in shards:
            metadata = read_shard_metadata(folder / shard.name)
            word_sources.update(metadata["ways"])
            reasons.update(reason for _, reason in metadata["skipped"])
            yield from (Skipped(*line) for line in metadata["skipped"])

    write_skipped(skipped(), folder)
    lines = sum(map(len, shards)) - reasons.total()
    summary = json.dumps(
        {"lines": lines, "skipped": reasons, "ways": word_sources}
        | ({"texts": text_counts} if text_counts else {}),
        indent=1, sort_keys=True, ensure_ascii=False,
    )  # fmt: skip
    (folder / "summary.json").write_text(summary + "\n", encoding="utf-8")


def _publish(folder: Path, out: Path) -> None:
    """Move `folder` to `out`, all or nothing, also if `out` is on another disk.

    If the disk is full, `folder` still holds every shard (with `new_folder` some would be lost).
    """
    partial = out.with_name(out.name + PART)
    out.parent.mkdir(parents=True, exist_ok=True)
    for old in (partial, out):
        shutil.rmtree(old, ignore_errors=True)
    shutil.move(folder, partial)
    partial.rename(out)
