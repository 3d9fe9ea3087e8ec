"""The models that a server reads with, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from netchu.core.errors import NetchuError, needs_extra
from netchu.inference.reader import Reader

OWN = "netchu"
"""The model that comes with the package, and the first choice."""

_MLFLOW = re.compile(r"(models|runs|mlflow-artifacts):/")


def open_shelf(wishes: Sequence[str]) -> Mapping[str, Reader]:
    """The shipped model and each `NAME=PLACE` or `PLACE`: a folder, or a model in MLflow.

    Raises:
        NetchuError: two have one name, or one is no exported model.
    """
    shelf = {OWN: Reader()}
    for wish in wishes:
        name, place = _named(wish)
        if name in shelf:
            raise NetchuError(f"--model {wish}: there is a model {name!r} already; write NAME=DIR")
        shelf[name] = Reader(_fetched(place) if _MLFLOW.match(place) else Path(place))
    return shelf


def _named(wish: str) -> tuple[str, str]:
    """Name and place; a folder without a name is called as its last part."""
    name, equals, place = wish.partition("=")
    if not equals:
        name, place = wish.rstrip("/").rpartition("/")[2], wish
    if not name.strip() or not place or not name.isprintable():
        raise NetchuError(f"--model {wish!r}: name a folder, or write NAME=DIR")
    return name.strip(), place


def _fetched(uri: str) -> Path:
    with needs_extra("train", f"--model {uri}"):
        from netchu.tracking import store
    return store.download_model(uri)
