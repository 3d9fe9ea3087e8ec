"""Data sources: where each lies and how it is fetched and read, one file per source.

Modules are imported by name and only when asked for, so that a stage depends on its own source
and on no other.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from netchu.core.errors import NetchuError
from netchu.data.line_table import Line, Skipped

MODULES = {
    "fonts": "netchu.data.sources.fonts",
    "kalapa": "netchu.data.sources.kalapa",
    "cinnamon": "netchu.data.sources.cinnamon",
    "vnondb": "netchu.data.sources.vnondb",
    "uit_hwdb": "netchu.data.sources.uit_hwdb",
    "csv": "netchu.data.sources.csv",
    "synthetic": "netchu.data.sources.synthetic",
    "vietnam_dataset": "netchu.data.sources.vietnam_dataset",
    "truyen_kieu": "netchu.data.sources.truyen_kieu",
}
"""Source -> the module that knows it."""


class Fetchable(Protocol):
    """What every source's module offers."""

    def fetch(self, folder: Path, /, **options: Any) -> None:
        """Bring the source into `folder`, whole or not at all."""


class Handwriting(Fetchable, Protocol):
    """What the module of a source of handwriting offers besides."""

    def parse(self, folder: Path, levels: Collection[str]) -> Iterator[Line | Skipped]:
        """Read the wanted levels of what `fetch` brought.

        Texts are normalised, splits are '' or the source's own. An image that cannot be used
        comes as `Skipped`.
        """


def load(name: str) -> Fetchable:
    """The module of source `name`; an unknown name is an error that lists the known ones."""
    if name not in MODULES:
        raise NetchuError(f"unknown source {name!r}; there are: {', '.join(sorted(MODULES))}")
    return cast(Fetchable, import_module(MODULES[name]))


def fetch(name: str, folder: Path, options: Mapping[str, Any]) -> None:
    """Bring source `name` into `folder`; `options` are its entry in params.yaml.

    Raises:
        NetchuError: an unknown source or option, or whatever keeps the source from coming.
    """
    module = load(name)
    _, *known = inspect.signature(module.fetch).parameters
    if unknown := sorted(set(options) - set(known)):
        takes = f"takes {', '.join(known)}" if known else "takes no options"
        raise NetchuError(f"sources.{name}: unknown key {unknown[0]!r}; this source {takes}")
    module.fetch(folder, **options)


def load_handwriting(name: str) -> Handwriting:
    """The module of source `name`, which must be one of handwriting."""
    module = load(name)
    if not hasattr(module, "parse"):
        raise NetchuError(f"source {name!r} holds no handwriting; preprocess another one")
    return cast(Handwriting, module)
