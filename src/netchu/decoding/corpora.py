"""What the language model reads: the sources of texts, and the prose of training labels.

Run as `python -m netchu.decoding.corpora FILE` after the profile's lines are there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from netchu.decoding.estimation import experts, write
from netchu.errors import NetchuError, one_line_errors
from netchu.lines import read_table
from netchu.params import Params, load_params
from netchu.sources import truyen_kieu, vietnam_dataset
from netchu.synth.addresses import Gazetteer, draw_address
from netchu.synth.syllables import SYLLABLES
from netchu.text import normalise

ADDRESSES = 150_000
"""Addresses that are drawn."""

PROSE = "vnondb"
"""The dataset whose training labels are prose."""

SHARED_WORDS = 4
"""So many words in a row make two labels the same text."""


def make(params: Params, file: Path) -> None:
    """Estimate the language model of a profile and write it to `file`.

    Raises:
        NetchuError: a source of texts is not there.
    """
    raw = Path("data") / params.profile / "raw"
    gazetteer = Gazetteer.of(vietnam_dataset.texts(raw / "vietnam_dataset"))
    if not gazetteer.streets:
        raise NetchuError(f"no streets in {raw}; run 'dvc repro download'")
    rng = np.random.default_rng(params.seed)
    addresses = [normalise(draw_address(rng, gazetteer)) for _ in range(ADDRESSES)]
    verses = truyen_kieu.texts(raw / "truyen_kieu")
    labels = read_table(params.lines / PROSE, ["text", "split"])
    trains = labels["split"] == "train"
    prose = unshared(labels[trains]["text"], labels[~trains]["text"])
    file.parent.mkdir(parents=True, exist_ok=True)
    write(experts(addresses, verses, SYLLABLES, prose), file)


def unshared(labels: Iterable[str], others: Iterable[str]) -> list[str]:
    """The labels that share no run of words with any of `others`.

    Several writers wrote the same texts: a language model that had read what the validation and
    test writers wrote would seem better than it is.
    """
    taken = {run for other in others for run in _runs(other)}
    return [label for label in labels if not taken.intersection(_runs(label))]


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = text.lower().split()
    for begin in range(len(words) - SHARED_WORDS + 1):
        yield tuple(words[begin : begin + SHARED_WORDS])


def main() -> None:
    """Estimate the language model of params.yaml's profile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="where to write it (.npz)")
    file = parser.parse_args().file
    with one_line_errors():
        make(load_params(), file)
    print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
