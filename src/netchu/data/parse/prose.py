"""Sentences of archives of prose, which hold one paragraph in each line of their text files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from netchu.core.text import ALPHABET, normalise
from netchu.data.archives import read_text, tar_members
from netchu.data.downloads import Source

MIN_WORDS = 4
"""Fewest words of a sentence; shorter ones are mostly headings, bylines and captions."""

_CAPITALS = "".join(letter for letter in ALPHABET if letter.isupper())
_SENTENCE_END = re.compile(rf"[.!?…][\"”)]*\s+(?=[\"“(]?[{_CAPITALS}\d])")


def sentences(folder: Path, source: Source, is_article: Callable[[str], bool]) -> list[str]:
    """Return the sentences of the archive of `source` in order, normalised and each once.

    Headings of wiki markup, sentences of fewer than `MIN_WORDS` words and sentences outside the
    alphabet are left out.

    Args:
        folder: the fetched folder.
        source: the source, for its file and name.
        is_article: whether the member of this name is an article.

    Raises:
        NetchuError: the archive is missing or damaged, or a member is not UTF-8.
    """
    found: dict[str, None] = {}  # the same articles come several times, and so do boilerplates
    letters = set(ALPHABET)
    for name, content in tar_members(folder / source.file, source.name, ".txt"):
        if not is_article(name):
            continue
        for paragraph in read_text(content, name, source.name).splitlines():
            if not paragraph.startswith("="):
                for sentence in split_sentences(normalise(paragraph)):
                    if sentence.count(" ") >= MIN_WORDS - 1 and letters.issuperset(sentence):
                        found.setdefault(sentence)
    return list(found)


def split_sentences(paragraph: str) -> Iterator[str]:
    """Yield the sentences of a normalised paragraph, with their punctuation."""
    begin = 0
    for end in _SENTENCE_END.finditer(paragraph):
        yield paragraph[begin : end.end()].rstrip()
        begin = end.end()
    if begin < len(paragraph):
        yield paragraph[begin:]
