"""Fetching the sources of lines and texts: one file per source.

A module is imported by name and only when it is asked for, so that the download of one source
depends on no other. Nothing here knows what a source contains; see `netchu.data.parse`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError

SOURCES = (
    "fonts", "kalapa", "cinnamon", "vnondb", "uit_hwdb", "vietnam_dataset", "truyen_kieu",
)  # fmt: skip
"""Sources that are fetched, each by the function `fetch` of the module of its name."""

LOCAL = {
    "csv": "source csv has nothing to download; take it off `sources` and name the table, or its "
    "folder, as the dataset's input",
    "synthetic": "generated lines are made by 'dvc repro synthesize'",
}
"""Sources of lines that are not fetched, and what to do instead."""


def fetch(name: str, folder: Path, options: Mapping[str, Any]) -> None:
    """Fetch source `name` into `folder`, whole or not at all.

    Args:
        name: one of `SOURCES`.
        folder: the folder to create.
        options: the source's entry in params.yaml, keyword arguments of its `fetch`.

    Raises:
        NetchuError: an unknown source or option, or the source cannot be fetched.
    """
    if name in LOCAL:
        raise NetchuError(f"{folder}: {LOCAL[name]}")
    if name not in SOURCES:
        raise NetchuError(f"unknown source {name!r}; there are: {', '.join(sorted(SOURCES))}")
    function = import_module(f"netchu.data.fetch.{name}").fetch
    _, *known = inspect.signature(function).parameters
    if unknown := sorted(set(options) - set(known)):
        takes = f"takes {', '.join(known)}" if known else "takes no options"
        raise NetchuError(f"sources.{name}: unknown key {unknown[0]!r}; this source {takes}")
    function(folder, **options)
