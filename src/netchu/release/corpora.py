"""Texts of the language model: addresses, verses, syllables and the prose of training labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.files import new_folder
from netchu.core.params import Params
from netchu.core.text import normalise
from netchu.data.held_out import held_out_of_tables, labels
from netchu.data.parse import truyen_kieu, vietnam_dataset
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.release.ngrams import mixture_components, write_language_model
from netchu.synthesis.addresses import Gazetteer, random_address
from netchu.synthesis.syllables import SYLLABLES

ADDRESSES = 150_000
"""Number of random addresses."""

SOURCES = ("vietnam_dataset", "truyen_kieu")
"""Sources of texts; a profile that fetches both has a language model."""

PROSE = "vnondb"
"""Dataset whose training labels are prose; used if a profile has it."""


def build_language_model(params: Params, folder: Path) -> None:
    """Estimate the language model of a profile and write it into `folder`.

    The folder is empty if the profile has no sources of texts.

    Raises:
        NetchuError: a source of texts was not fetched.
    """
    with new_folder(folder) as partial:
        if set(SOURCES) <= set(params.sources):
            addresses, verses = _addresses(params), truyen_kieu.texts(params.raw / "truyen_kieu")
            components = mixture_components(addresses, verses, SYLLABLES, _prose(params))
            write_language_model(components, partial / LANGUAGE_MODEL)


def _addresses(params: Params) -> list[str]:
    raw = params.raw / "vietnam_dataset"
    gazetteer = Gazetteer.from_addresses(vietnam_dataset.texts(raw))
    if not gazetteer.streets:
        raise NetchuError(f"no streets in {raw}; run 'dvc repro download'")
    rng = np.random.default_rng(params.seed)
    return [normalise(random_address(rng, gazetteer)) for _ in range(ADDRESSES)]


def _prose(params: Params) -> list[str]:
    """Return the training labels that share no words with a validation or test label.

    Several writers copied the same texts.
    """
    if PROSE not in params.datasets:
        return []
    return held_out_of_tables(params).keep_others(labels(params.lines / PROSE, ("train",)))
