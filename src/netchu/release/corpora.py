"""Texts of the language model: addresses, verses, syllables, prose, forms and foreign words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netchu.core.errors import NetchuError
from netchu.core.files import new_folder, write_json
from netchu.core.params import Params
from netchu.core.text import normalise
from netchu.data.held_out import HeldOutTexts, labels, texts_of_tables
from netchu.data.parse import truyen_kieu, vi_forms, vietnam_dataset
from netchu.decoding.language_model import LANGUAGE_MODEL, TEXTS
from netchu.release.ngrams import Corpora, mixture_components, write_language_model
from netchu.synthesis.addresses import Gazetteer, random_address
from netchu.synthesis.foreign_words import foreign_words, random_foreign
from netchu.synthesis.form_fields import random_field
from netchu.synthesis.syllables import SYLLABLES
from netchu.synthesis.texts import PROSE, read_prose

ADDRESSES = 150_000
"""Number of random addresses."""

FIELDS = 60_000
"""Number of random fields of forms."""

FOREIGN = 40_000
"""Number of random words that are no Vietnamese."""

SOURCES = ("vietnam_dataset", "truyen_kieu")
"""Sources of texts; a profile that fetches both has a language model."""

MORE_SOURCES = ("vi_forms", *PROSE)
"""Sources of texts that a language model reads too if the profile fetches them."""

PROSE_LABELS = "vnondb"
"""Dataset whose training labels are prose; used if a profile has it."""


def build_language_model(params: Params, folder: Path) -> None:
    """Estimate the language model of a profile and write it into `folder`.

    The folder is empty if the profile has no sources of texts. Labels and sentences that share four
    words in a row with a validation or test label are left out, and counted in `texts.json`.

    Raises:
        NetchuError: a source of texts was not fetched.
    """
    with new_folder(folder) as partial:
        if set(SOURCES) <= set(params.sources):
            held_out = texts_of_tables(params)
            corpora, counts = _corpora(params, held_out)
            write_language_model(mixture_components(corpora), partial / LANGUAGE_MODEL)
            write_json(counts, partial / TEXTS)


def _corpora(params: Params, held_out: HeldOutTexts) -> tuple[Corpora, dict[str, int]]:
    """Return the texts, and the numbers of labels and sentences that are used and held out."""
    forms = vi_forms.texts(params.raw / "vi_forms") if "vi_forms" in params.sources else None
    folders = {name: params.raw / name for name in PROSE if name in params.sources}
    sentences, counts = read_prose(folders, held_out)
    training = _training_labels(params)
    kept = held_out.keep_others(training)
    counts |= {"labels, used": len(kept), "labels, held out": len(training) - len(kept)}
    rng = np.random.default_rng([params.seed, 1])
    foreign = foreign_words(sentences, SYLLABLES)
    corpora = Corpora(
        addresses=_addresses(params, forms),
        verses=truyen_kieu.texts(params.raw / "truyen_kieu"),
        syllables=SYLLABLES,
        labels=kept,
        sentences=sentences,
        fields=[normalise(random_field(rng, forms)) for _ in range(FIELDS)] if forms else (),
        foreign=[random_foreign(rng, foreign) for _ in range(FOREIGN)] if foreign else (),
    )
    return corpora, counts


def _addresses(params: Params, forms: vi_forms.FormTexts | None) -> list[str]:
    raw = params.raw / "vietnam_dataset"
    gazetteer = Gazetteer.from_addresses(vietnam_dataset.texts(raw), forms)
    if not gazetteer.streets:
        raise NetchuError(f"no streets in {raw}; run 'dvc repro download'")
    rng = np.random.default_rng(params.seed)
    return [normalise(random_address(rng, gazetteer)) for _ in range(ADDRESSES)]


def _training_labels(params: Params) -> list[str]:
    if PROSE_LABELS not in params.datasets:
        return []
    return labels(params.lines / PROSE_LABELS, ("train",))
