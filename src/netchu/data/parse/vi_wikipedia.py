"""Sentences of the Vietnamese Wikipedia (CC BY-SA 3.0).

The archive holds `…/viwiki/<title>.txt`, one article each.
"""

from __future__ import annotations

from pathlib import Path

from netchu.data.fetch.vi_wikipedia import SOURCE
from netchu.data.parse.prose import sentences


def texts(folder: Path) -> list[str]:
    """Return the sentences in the archive's order; see `prose.sentences`."""
    return sentences(folder, SOURCE, lambda name: Path(name).parent.name == "viwiki")
