"""Fetching data sources, one module per source; nothing here reads what was fetched.

A new module is a new source, and makes no other one stale.

Each module has `fetch(folder, **options)`. Modules are imported by name, so the code on which the
stage `download@SOURCE` depends is that of its own source: an edit of a parser downloads nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError

SOURCES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[!_]*")))
"""The sources that can be fetched: modules and packages of this package, by name."""

NOT_DOWNLOADED = {
    "csv": "source csv has nothing to download; remove it from `sources` and set the dataset's "
    "input to the table or its folder",
    "alto": "source alto has nothing to download; remove it from `sources` and set the dataset's "
    "input to the folder of the documents",
    "page": "source page has nothing to download; remove it from `sources` and set the dataset's "
    "input to the folder of the documents",
    "synthetic": "synthetic lines are not downloaded; run 'dvc repro synthesize'",
}
"""Sources of lines that are already on disk -> what the user does instead."""


def fetch(name: str, folder: Path, options: Mapping[str, Any]) -> None:
    """Fetch a source into `folder`, completely or not at all.

    Args:
        name: one of `SOURCES`.
        folder: the folder to create or replace.
        options: keyword arguments of the module's `fetch`, from `sources.<name>` in params.yaml.

    Raises:
        NetchuError: the source or an option is unknown, or fetching fails.
    """
    if name in NOT_DOWNLOADED:
        raise NetchuError(f"{folder}: {NOT_DOWNLOADED[name]}")
    if name not in SOURCES:
        raise NetchuError(f"unknown source {name!r}; known: {', '.join(sorted(SOURCES))}")
    module = import_module(f"{__name__}.{name}")
    _, *known = inspect.signature(module.fetch).parameters
    if unknown := sorted(set(options) - set(known)):
        takes = f"takes {', '.join(known)}" if known else "takes no options"
        raise NetchuError(f"sources.{name}: unknown key {unknown[0]!r}; this source {takes}")
    module.fetch(folder, **options)
