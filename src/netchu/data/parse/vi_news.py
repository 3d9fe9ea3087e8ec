"""Sentences of Vietnamese newspaper articles of 2016 and 2017. Research data.

The archive holds `…/vn_news/**.txt`, one article each.
"""

from __future__ import annotations

from pathlib import Path

from netchu.data.fetch.vi_news import SOURCE
from netchu.data.parse.prose import sentences


def texts(folder: Path) -> list[str]:
    """Return the sentences in the archive's order; see `prose.sentences`."""
    return sentences(folder, SOURCE, lambda name: "vn_news" in Path(name).parts[:-1])
