"""What the language model reads: the sources of texts, and the prose of training labels."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.core.text import normalise
from netchu.data.line_table import read_table
from netchu.data.parse import truyen_kieu, vietnam_dataset
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.release.ngrams import mixture_components, write_language_model
from netchu.synthesis.addresses import Gazetteer, draw_address
from netchu.synthesis.syllables import SYLLABLES

ADDRESSES = 150_000
"""Addresses that are drawn."""

SOURCES = ("vietnam_dataset", "truyen_kieu")
"""A profile that fetches both has a language model."""

PROSE = "vnondb"
"""The dataset whose training labels are prose, where a profile has it."""

SHARED_WORDS = 4
"""So many words in a row make two labels the same text."""


def make(params: Params, folder: Path) -> None:
    """Estimate the language model of a profile and write it into `folder`, whole or not at all.

    The folder stays empty where the profile has no sources of texts.

    Raises:
        NetchuError: a source of texts is not there.
    """
    components = None
    if set(SOURCES) <= set(params.sources):
        addresses, verses = _addresses(params), truyen_kieu.texts(_raw(params, "truyen_kieu"))
        components = mixture_components(addresses, verses, SYLLABLES, _prose(params))
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if components:
        write_language_model(components, partial / LANGUAGE_MODEL)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _raw(params: Params, source: str) -> Path:
    return params.raw / source


def _addresses(params: Params) -> list[str]:
    raw = _raw(params, "vietnam_dataset")
    gazetteer = Gazetteer.of(vietnam_dataset.texts(raw))
    if not gazetteer.streets:
        raise NetchuError(f"no streets in {raw}; run 'dvc repro download'")
    rng = np.random.default_rng(params.seed)
    return [normalise(draw_address(rng, gazetteer)) for _ in range(ADDRESSES)]


def _prose(params: Params) -> list[str]:
    if PROSE not in params.datasets:
        return []
    labels = read_table(params.lines / PROSE, ["text", "split"])
    trains = labels["split"] == "train"
    return unshared(labels[trains]["text"], labels[~trains]["text"])


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
