"""The published splits: which lines of a source train, validate and test, whatever copy is read.

Copies of a source differ: an upstream archive holds lines that a mirror lacks. A split that is
drawn from what a copy holds differs with it. `SOURCE.csv` beside this module lists, for each
published source, the ids of its lines (`id,split`), so that every copy gives the same lines. The
lists hold ids only, no text. Writers are in one split each; Cinnamon's test lines are its official
second part.

`mislabelled.csv` lists test lines of Kalapa and Cinnamon whose label is not what the image shows
(`id,fault`). They were found by eye among the lines of which a reader left out four letters or
more, added as many, or got more than 15 % wrong.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from netchu.core.errors import NetchuError

SOURCES = ("cinnamon", "kalapa", "vnondb")
"""Sources with a published split."""


@cache
def published_split(source: str) -> dict[str, str]:
    """Return the split of each listed id of a source: train, val or test.

    Raises:
        NetchuError: the source has no published split.
    """
    if source not in SOURCES:
        raise NetchuError(
            f"source {source} has no published split (known: {', '.join(SOURCES)}); "
            "remove 'split: published' from the dataset"
        )
    with Path(__file__).with_name(f"{source}.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row["split"] for row in csv.DictReader(file)}


@cache
def mislabelled() -> frozenset[str]:
    """Return the ids of test lines whose label is not what the image shows."""
    path = Path(__file__).with_name("mislabelled.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return frozenset(row["id"] for row in csv.DictReader(file))


def published_id(line: str) -> str:
    """Return the id under which the lists name a line.

    That is its own id. VNOnDB is listed by session, since the words, lines and paragraphs of a
    session belong together: `vnondb-word-SESSION-tg_0_1` is listed as `vnondb-SESSION`.
    """
    source, *rest = line.split("-")
    return f"{source}-{'-'.join(rest[1:-1])}" if source == "vnondb" else line
