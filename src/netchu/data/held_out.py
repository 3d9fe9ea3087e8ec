"""Keeping texts of validation and test lines out of what is learnt from.

Writers of several datasets copied texts that stand in newspapers and elsewhere. A network or a
language model that has read the text of a test line seems better than it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from netchu.core.params import Params
from netchu.core.text import fold_tone_placement
from netchu.data.line_table import read_table
from netchu.data.preprocessing import split_lines

SHARED_WORDS = 4
"""Texts that share so many consecutive words are taken for the same text."""

_WORD = re.compile(r"\w+")


class HeldOutTexts:
    """Texts of lines, to find other texts that share words with them.

    Case, punctuation and the placement of tones are ignored.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._runs = {run for text in texts for run in _runs_of_words(text)}

    def shares_words(self, text: str) -> bool:
        """Return whether `text` shares `SHARED_WORDS` consecutive words with one of them."""
        return not self._runs.isdisjoint(_runs_of_words(text))

    def keep_others(self, texts: Iterable[str]) -> list[str]:
        """Return the texts that share no words with one of them."""
        return [text for text in texts if not self.shares_words(text)]


def _runs_of_words(text: str) -> Iterable[tuple[str, ...]]:
    words = [_fold(word) for word in _WORD.findall(text.lower())]
    return zip(*(words[start:] for start in range(SHARED_WORDS)), strict=False)


@cache
def _fold(word: str) -> str:
    return fold_tone_placement(word)


def held_out_of_inputs(params: Params) -> HeldOutTexts:
    """Return the validation and test labels of all handwriting of the profile, from its sources.

    Raises:
        NetchuError: a source was not fetched.
    """
    texts: list[str] = []
    for name in params.handwriting:
        lines = split_lines(params.dataset(name), name, params.seed, [])
        texts += lines.loc[lines["split"] != "train", "text"].tolist()
    return HeldOutTexts(texts)


def texts_of_tables(params: Params, splits: Sequence[str] = ("val", "test")) -> HeldOutTexts:
    """Return the labels of the profile's handwriting that belong to `splits`, from its tables.

    Raises:
        NetchuError: a table was not written.
    """
    texts: list[str] = []
    for name in params.handwriting:
        texts += labels(params.lines / name, splits)
    return HeldOutTexts(texts)


def labels(table: Path, splits: Sequence[str]) -> list[str]:
    """Return the labels of a line table that belong to `splits`.

    Raises:
        NetchuError: the table was not written.
    """
    rows = read_table(table, ["text", "split"])
    return rows[rows["split"].isin(splits)]["text"].tolist()
