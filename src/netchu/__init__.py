"""netchu (nét chữ): rebuild, compare and ship recognisers of Vietnamese handwriting."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netchu.inference.reader import Reader

    __version__: str

__all__ = ["Reader", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the reader on first use; training needs neither it nor onnxruntime."""
    if name == "Reader":
        return import_module("netchu.inference.reader").Reader
    if name == "__version__":
        return import_module("importlib.metadata").version("netchu")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
