"""The synthesize stage: draw one kind of lines and write them as a line table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.progress import track

from netchu.lines import Line, Skipped, write_table
from netchu.params import Params
from netchu.synth.generate import synthesize


def synthesize_table(params: Params, kind: str) -> Path:
    """Write data/<profile>/synthetic/<kind>; return that folder."""
    wanted = params.kind(kind)
    home = Path("data") / params.profile
    corpus = Path(wanted.corpus) if wanted.corpus else None
    drawn = synthesize(
        wanted, home / "raw" / "fonts", corpus, params.seed, kind, params.compute.threads
    )
    skipped: list[Skipped] = []
    folder = home / "synthetic" / kind
    write_table(_lines(drawn, wanted.count, skipped), folder, skipped)
    return folder


def _lines(drawn: Iterator[Line | Skipped], count: int, skipped: list[Skipped]) -> Iterator[Line]:
    for line in track(drawn, "drawing lines", count, transient=True):
        if isinstance(line, Skipped):
            skipped.append(line)
        else:
            yield line
