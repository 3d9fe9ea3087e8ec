"""Networks by name. Only the one that is asked for is imported.

So a stage that trains one network depends on no other network's file, and a new file in `networks/`
makes no trained system stale.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from netchu.core.errors import NetchuError

if TYPE_CHECKING:
    from netchu.models.base import Recogniser

NETWORKS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("networks/[!_]*.py")))
"""Names of the networks, those of the files in `networks/`."""


def network_class(name: str) -> type[Recogniser]:
    """Return the class of a network: the recogniser that its file defines.

    Raises:
        NetchuError: there is no such network; the message lists them.
    """
    if name not in NETWORKS:
        raise NetchuError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    from netchu.models.base import Recogniser

    module = import_module(f"netchu.models.networks.{name}")
    (found,) = (
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, Recogniser)
        and item.__module__ == module.__name__
    )
    return found
